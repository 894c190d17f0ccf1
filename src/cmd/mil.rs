//! `autoane mil`: programs of the Neural Engine as files.

mod check;
mod print;
mod rules;
mod run;

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use ::mil::{Elements, Program};

use crate::cli::MilVerb;
use crate::exit::{self, Exit};
use crate::out::Out;

/// Largest text that is read: the largest programs have a few megabytes.
const LONGEST_TEXT: u64 = 256 << 20;

/// Prints, checks, runs or explains.
pub fn run(verb: &MilVerb, out: Out) -> anyhow::Result<()> {
    match verb {
        MilVerb::Print(args) => print::run(args, out),
        MilVerb::Check(args) => check::run(args, out),
        MilVerb::Run(args) => run::run(args, out),
        MilVerb::Rules => rules::run(out),
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let code = if error.kind() == ErrorKind::NotFound { exit::MISSING } else { exit::IO };
    Exit::new(code, format!("{}: cannot read: {error}", path.display())).into()
}

/// The text of a program.
fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::metadata(path).map_err(|e| cannot_read(path, &e))?.len();
    if bytes > LONGEST_TEXT {
        let message = format!("{}: {bytes} bytes: expected a program of at most {LONGEST_TEXT}", path.display());
        return Err(Exit::new(exit::BAD_DATA, message).into());
    }
    if path.is_dir() {
        let name = path.display();
        return Err(exit::usage(format!(
            "{name} is a folder: name a program in it ({name}/KERNEL/model.mil, as `mil print` writes)"
        )));
    }
    let bytes = fs::read(path).map_err(|e| cannot_read(path, &e))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Exit::new(exit::BAD_DATA, format!("{}: offset {at}: expected text (UTF-8), found other bytes", path.display())).into()
    })
}

/// Where a weight file of a program beside `text` lies: none for paths that leave the folder.
fn weight_file(text: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.strip_prefix("@model_path/")?);
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_)));
    plain.then(|| text.parent().unwrap_or(Path::new("")).join(relative))
}

/// A weight file by its path in the program.
type Blob = (String, Vec<u8>);

/// The weight files that `program` names, as far as they are there, and the names of those that are not.
fn weight_files(program: &Program, text: &Path) -> anyhow::Result<(Vec<Blob>, Vec<String>)> {
    let (mut found, mut missing) = (Vec::<Blob>::new(), Vec::<String>::new());
    let attributes = program.functions.iter().flat_map(|f| &f.body).flat_map(|s| &s.attributes);
    for (_, literal) in attributes {
        let Elements::Blob { path, .. } = &literal.elements else { continue };
        if found.iter().any(|(name, _)| name == path) || missing.contains(path) {
            continue;
        }
        let Some(file) = weight_file(text, path) else {
            let message = format!("{}: weight file {path:?}: expected @model_path/ and a path below it", text.display());
            return Err(Exit::new(exit::BAD_DATA, message).into());
        };
        match fs::read(&file) {
            Ok(bytes) => found.push((path.clone(), bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => missing.push(path.clone()),
            Err(e) => return Err(cannot_read(&file, &e)),
        }
    }
    Ok((found, missing))
}

/// An error at a place of a file.
fn at(path: &Path, span: ::mil::Span, message: &str) -> anyhow::Error {
    Exit::new(exit::BAD_DATA, format!("{}:{span}: {message}", path.display())).into()
}

/// The program in a file, parsed and checked.
fn open(path: &Path) -> anyhow::Result<Program> {
    let program = ::mil::parse(&read_text(path)?).map_err(|e| at(path, e.span, &e.message))?;
    ::mil::check(&program).map_err(|e| at(path, e.span, &e.message))?;
    Ok(program)
}
