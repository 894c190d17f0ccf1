//! `autoane explain`: what an exit code means and what to do.

use serde_json::json;

use crate::cli::ExplainArgs;
use crate::exit::usage;
use crate::out::Out;

/// An exit code: number, name, what happened, what to do.
const CODES: [(u8, &str, &str, &str); 13] = [
    (
        0,
        "done",
        "The verb did what was asked. A run whose budget is used, or a search that found nothing better, is done too.",
        "Nothing.",
    ),
    (
        1,
        "failure",
        "Something failed while running that none of the other codes names; `verify` also ends so when a claim does not hold.",
        "Read the last line on stderr. If it does not say what to do, `autoane doctor` describes the machine for a report.",
    ),
    (
        2,
        "usage",
        "What was typed makes no sense: an unknown flag, key or preset, or settings that contradict each other.",
        "The message names the nearest word that exists; `autoane VERB --help` ends with examples, `train --dry-run` shows every setting and its origin.",
    ),
    (
        65,
        "bad data",
        "A data, token, tokenizer or model file is damaged, or says what this program cannot compute. The message has the file, the place, what was expected and what was found.",
        "`autoane inspect FILE` says what is sound in it. Copy or download it again; prepare tokens again with `autoane data tokenize`. A run with a damaged checkpoint goes on from the one before it.",
    ),
    (
        66,
        "missing",
        "A file or folder that was named is not there.",
        "Check the path. A model is a folder with config.json and model.safetensors, a GGUF, BLZT or llama2.c file, or a run; `autoane inspect PATH` says what it is.",
    ),
    (
        69,
        "unavailable",
        "A device, a meter or the network is not there: no Neural Engine, no readable power meter, a download without network.",
        "`autoane doctor` says what this machine has and why something is not used. `--device ane-sim` runs the same programs anywhere.",
    ),
    (
        70,
        "internal error",
        "A bug: a state that cannot be. The message has the place in the source.",
        "Report it with the command and what `autoane doctor` prints. The last checkpoint of a run is whole; `train --resume` goes on from it.",
    ),
    (
        73,
        "cannot write",
        "Output cannot be created: a run folder that is in use or not empty, a folder without permission, a file system that is read-only.",
        "Name another place with --out, go on with --resume, or replace a run with --overwrite.",
    ),
    (
        74,
        "I/O error",
        "Reading or writing failed midway, or the disk is full.",
        "Free some space. Earlier checkpoints are as they were; `train --resume RUN` goes on from the last one.",
    ),
    (
        75,
        "diverged",
        "Loss or gradient was not finite, and going back and skipping the batch did not help.",
        "Try half the learning rate. RUN/diverged has the batch and the state that did it; checkpoints/last is the last good one.",
    ),
    (101, "panic", "The program ended before it could say anything; a bug as in 70.", "As for 70."),
    (
        130,
        "interrupted",
        "Ctrl-C (SIGINT). A run saved a checkpoint first; a second Ctrl-C stops at once, without.",
        "`autoane train --resume RUN` goes on, bit for bit where the budget is steps or tokens.",
    ),
    (143, "terminated", "SIGTERM. A run saved a checkpoint first.", "`autoane train --resume RUN` goes on."),
];

/// Explains one code, or lists them all.
pub fn run(args: &ExplainArgs, out: Out) -> anyhow::Result<()> {
    let chosen: Vec<_> = CODES.iter().filter(|c| args.code.is_none_or(|code| code == c.0)).collect();
    if chosen.is_empty() {
        let all: Vec<String> = CODES.iter().map(|c| c.0.to_string()).collect();
        return Err(usage(format!("this program ends with none but {}", all.join(", "))));
    }
    for (code, name, what, next) in &chosen {
        match args.code {
            Some(_) => out.line(format!("{code}, {name}\n\n{what}\n\nWhat to do: {next}"))?,
            None => out.line(format!("{code:>3}  {name}"))?,
        }
    }
    let object = |c: &&(u8, &str, &str, &str)| json!({ "code": c.0, "name": c.1, "meaning": c.2, "what_to_do": c.3 });
    out.json(&json!({ "codes": chosen.iter().map(object).collect::<Vec<_>>() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[test]
    fn every_code_of_the_program_has_a_page() {
        let ours = [
            0,
            exit::FAILURE,
            exit::USAGE,
            exit::BAD_DATA,
            exit::MISSING,
            exit::UNAVAILABLE,
            exit::INTERNAL,
            exit::CANNOT_WRITE,
            exit::IO,
            exit::DIVERGED,
            130,
            143,
        ];
        for code in ours {
            assert!(CODES.iter().any(|c| c.0 == code), "no page for {code}");
        }
        assert!(CODES.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
