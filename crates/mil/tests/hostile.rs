//! Texts that are damaged or made to do harm: never a panic, always a short complaint with a place that exists, and what is
//! accepted still prints to a text that says the same.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use mil::rules::{self, Target};
use mil::{Chip, Span, check, parse};

/// A sequence of numbers that is the same in every run (Steele and Vigna's splitmix).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What must hold for any text.
fn survives(text: &str) {
    let complaint = match parse(text) {
        Err(e) => {
            assert!(exists(text, e.span), "{} lies outside of\n{text}", e.span);
            e.to_string()
        }
        Ok(program) => {
            let printed = program.to_string();
            let again = parse(&printed).unwrap_or_else(|e| panic!("{e} in what was printed of\n{text}\nwhich is\n{printed}"));
            assert_eq!(again.to_string(), printed, "of\n{text}");
            match check(&program) {
                Ok(_) => {
                    check(&again).unwrap();
                    for chip in Chip::ALL {
                        rules::check(&program, &[], &Target { chip, strict: true, ..Target::default() });
                    }
                    return;
                }
                Err(e) => e.to_string(),
            }
        }
    };
    assert!(complaint.len() < 1000, "a complaint of {} bytes: {complaint}", complaint.len());
    assert!(!complaint.chars().any(char::is_control), "{complaint:?}");
}

fn exists(text: &str, span: Span) -> bool {
    let mut lines = text.split('\n');
    let line = span.line.checked_sub(1).and_then(|l| lines.nth(l));
    line.is_some_and(|l| (1..=l.chars().count() + 1).contains(&span.column))
}

/// Texts that are sound.
fn sound() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests/print");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let text = |path| fs::read_to_string(path).unwrap().split_once('\n').unwrap().1.to_owned();
    paths.into_iter().map(text).collect()
}

#[test]
fn a_beginning_of_a_text_is_refused() {
    for text in sound() {
        for (end, _) in text.trim_end().char_indices().step_by(3) {
            survives(&text[..end]);
            assert!(parse(&text[..end]).is_err());
        }
    }
}

/// Words that a text is made of, and some that it should not be.
const WORDS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    ",",
    "=",
    ";",
    "?",
    "->",
    "-",
    "\"",
    "\\",
    "\n",
    "0",
    "-1",
    "1e308",
    "0x1p-3",
    "true",
    "tensor",
    "state",
    "fp16",
    "int32",
    "string",
    "bool",
    "func",
    "program",
    "dict",
    "BLOBFILE",
    "const",
    "x_in",
    "y_out",
    "name",
    "val",
    "é",
    "\u{0}",
    "//",
    "18446744073709551616",
    "4294967296",
];

#[test]
fn damaged_texts_never_panic() {
    let mut numbers = Numbers(7);
    let texts = sound();
    for _ in 0..20_000 {
        let mut characters: Vec<char> = texts[numbers.below(texts.len())].chars().collect();
        for _ in 0..1 + numbers.below(4) {
            damage(&mut characters, &mut numbers);
        }
        survives(&characters.into_iter().collect::<String>());
    }
}

fn damage(text: &mut Vec<char>, numbers: &mut Numbers) {
    let at = numbers.below(text.len());
    let end = (at + numbers.below(12)).min(text.len());
    let word: Vec<char> = WORDS[numbers.below(WORDS.len())].chars().collect();
    match numbers.below(4) {
        0 => drop(text.drain(at..end)),
        1 => drop(text.splice(at..at, word)),
        2 => drop(text.splice(at..end, word)),
        _ => {
            let copy = text[at..end].to_vec();
            let to = numbers.below(text.len());
            drop(text.splice(to..to, copy));
        }
    }
}

#[test]
fn random_texts_never_panic() {
    let mut numbers = Numbers(11);
    for _ in 0..5_000 {
        let length = numbers.below(60);
        let words: String = (0..length).map(|_| WORDS[numbers.below(WORDS.len())]).collect::<Vec<_>>().join(" ");
        survives(&words);
        let bytes: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
        survives(&String::from_utf8_lossy(&bytes));
    }
}

/// A program with one statement.
fn with(statement: &str) -> String {
    format!("program(1.3)\n{{\nfunc main<ios18>(tensor<fp16, [1, 4, 1, 32]> x_in) {{\n{statement}\n}} -> (x_in);\n}}")
}

#[test]
fn texts_made_to_be_deep_or_slow_are_refused_at_once() {
    let many = 100_000;
    for text in [
        "[".repeat(many),
        "program(".repeat(many),
        with(&format!("fp16 v_a = const()[val = tensor<fp16, [1]>({})];", "[".repeat(many))),
        with(&format!("{}fp16{} v_a = relu(x = x_in)[name = string(\"a\")];", "state<".repeat(many), ">".repeat(many))),
        with(&format!("fp16 v_a = relu({})[name = string(\"a\")];", "x = (".repeat(many))),
        with(&format!("fp16 v_a = reshape(x = x_in, shape = tensor<int32, [{many}]>([{}1]));", "1, ".repeat(many - 1))),
        with(&format!("fp16 v_a = expand_dims(x = x_in, axes = tensor<int32, [{many}]>([{}1]));", "1, ".repeat(many - 1))),
        with(&format!("fp16 v_a = transpose(x = x_in, perm = tensor<int32, [{many}]>([{}1]));", "1, ".repeat(many - 1))),
        with(&format!("fp16 v_a = const()[{}name = string(\"a\")];", "val = fp16(1), ".repeat(many))),
        with(&(0..many).map(|i| format!("a{i} = fp16(1), ")).fold("fp16 v_a = const()[".to_owned(), |t, a| t + &a)),
        with(&format!("fp16 v_a = concat(values = ({}x_in), axis = int32(9));", "x_in, ".repeat(many))),
        with(&format!("fp16 v_a = {}(x = x_in);", "relu".repeat(many))),
        with(&format!("fp16 v_a = relu({} = x_in);", "x".repeat(many))),
        with(&format!("fp16 v_a = relu(x = {});", "x".repeat(many))),
        with(&format!("fp16 v_a = const()[val = fp16({})];", "9".repeat(many))),
        with(&format!("fp16 v_a = const()[val = fp16(0x{})];", "f".repeat(many))),
        with(&format!("int32 v_a = const()[val = int32({})];", "9".repeat(many))),
    ] {
        survives(&text);
        assert!(parse(&text).is_err() || check(&parse(&text).unwrap()).is_err(), "{}", &text[..text.len().min(200)]);
    }
}
