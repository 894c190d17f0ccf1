//! Chores of the repository: `cargo run -p xtask -- tidy` and `-- links`.

mod links;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- tidy|links\n\n  tidy   layers, sizes, stray printing, unfinished code and words that do not belong\n  links  links between the documents, and pages that the book leaves out";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy(),
        ["links"] => links(),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn links() -> ExitCode {
    match links::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        Ok((wrong, looked)) if wrong.is_empty() => {
            println!("links: {looked}, none dead");
            ExitCode::SUCCESS
        }
        Ok((wrong, _)) => {
            wrong.iter().for_each(|w| eprintln!("{w}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tidy() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match tidy::check(&root) {
        Ok(report) => {
            println!("{report}");
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
