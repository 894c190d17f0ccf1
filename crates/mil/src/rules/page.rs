//! The page `docs/ane-rules.md`: the table of rules, and what no program shows.

use super::{Rule, all};
use crate::Chip;

const INTRODUCTION: &str = "# What the Neural Engine refuses or garbles

Made by a test from the table of rules of the crate `mil` (`rules/*.rs`); do not edit. `AUTOANE_WRITE_DOCS=1 cargo test -p mil the_page` writes it
anew. `autoane mil check` names the rules that a program breaks, `autoane mil rules` prints them.

The evidence is other people's: who saw what, on which chip. *Settled*: several independent sources agree. *Single source*: one. *Sources
conflict*: both sides stand there. A strict target refuses what anybody saw fail; a lenient one (the default of `mil check`) what surely fails.

| rule | limit | chips | confidence | strict | lenient | evidence |
|---|---|---|---|---|---|---|
";

/// What holds for devices and processes rather than for a program.
const ELSEWHERE: &str = "
## What no program shows

| limit | who sees to it |
|---|---|
| weights of a loaded program cannot be changed: rewriting the file and loading again changes nothing (mx, Orion, e5fork, auto) | pipelines with baked weights compile anew |
| the padding and order of ports that the device reports after loading decide, not the text (bridge-rs) | the device binds by name and takes strides from the attributes |
| a request is evaluated once at a time, two requests in flight hide the host's time (bridge-rs) | the engine |
| after a burst of failed compiles others are slow for 15 s; restarting in a fast loop wedges the service (guide, libane) | the device |
| surfaces hold fp16: bytes of fp32 in them give zeros (e5fork) | the packer, which knows the type of a port |
| gradients scaled by a loss scale stay below 4,094 where slices begin inside a row (M1, M2) and below 32,768 in products (M1) | the interpreter with the engine's numerics |
| fusing the whole backward pass of attention with that of Q, K and V ends in a `cycle path` error (trainer, M4) | kernels keep the two apart |
| procedure N of a program with several functions binds its ports at index N (infer, M5) | programs of this project have one function |
";

impl Rule {
    /// `all chips`, `M1 to M3`, `M4 and M5`.
    pub fn chips_named(&self) -> String {
        match self.chips {
            chips if chips.len() == Chip::ALL.len() => "all chips".to_owned(),
            [only] => only.to_string(),
            [first, second] => format!("{first} and {second}"),
            [first, .., last] => format!("{first} to {last}"),
            [] => String::new(),
        }
    }
}

/// The page.
pub fn page() -> String {
    let rows = all().into_iter().map(|rule| {
        let Rule { id, title, evidence, confidence, strict, lenient, .. } = rule;
        format!("| {id} | {title} | {} | {confidence} | {strict} | {lenient} | {evidence} |\n", rule.chips_named())
    });
    format!("{INTRODUCTION}{}{ELSEWHERE}", rows.collect::<String>())
}
