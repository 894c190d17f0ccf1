//! Programs that are run: files of `filetests/run`, whose first line is `// test: run`. Lines of comments say the rest:
//!
//! - `// profile: NAME`: how the interpreter computes; `exact` where no line says otherwise.
//! - `// file PATH TYPE COUNT: NUMBERS`: a weight file with one record.
//! - `// NAME: NUMBERS`: an input, its elements in order; `N x NUMBER` is a number over and over.
//! - `// gives NAME: NUMBERS`: an output.
//! - `// tolerance: T`: how far an element may be off, relative to itself or to a twentieth of the largest, where that is
//!   more; a unit in the last place of fp16 where no line says otherwise. 0 means the same bits.
//! - `// fails: MESSAGE`: it passes the checker and cannot be run, with these words in the message.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use mil::{DType, Data, Executable, Numerics, Tensor, Type, blob, check, parse};

/// A unit in the last place of fp16.
const UNIT: f64 = 1.0 / 1024.0;

type Outcome<T> = Result<T, String>;

/// What the comments of a file say.
#[derive(Default)]
struct Case {
    profile: String,
    files: Vec<(String, Vec<u8>)>,
    inputs: Vec<(String, Vec<f64>)>,
    outputs: Vec<(String, Vec<f64>)>,
    tolerance: Option<f64>,
    fails: Option<String>,
}

fn numbers(text: &str) -> Outcome<Vec<f64>> {
    let mut values = Vec::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let value = |w: &str| match w {
            "true" => Ok(1.0),
            "false" => Ok(0.0),
            other => other.parse::<f64>().map_err(|e| format!("`{other}`: {e}")),
        };
        if words.peek() == Some(&"x") {
            words.next();
            let count = word.parse().map_err(|e| format!("`{word}`: {e}"))?;
            let repeated = value(words.next().ok_or("nothing is repeated")?)?;
            values.extend(std::iter::repeat_n(repeated, count));
        } else {
            values.push(value(word)?);
        }
    }
    Ok(values)
}

fn tensor(ty: &Type, values: &[f64]) -> Outcome<Tensor> {
    let data = match ty.dtype {
        DType::Bool => Data::Bools(values.iter().map(|v| *v != 0.0).collect()),
        t if t.is_float() => Data::Floats(values.iter().map(|v| *v as f32).collect()),
        _ => Data::Ints(values.iter().map(|v| *v as i64).collect()),
    };
    Tensor::new(ty.clone(), data).map_err(|e| e.to_string())
}

fn weight_file(description: &str, values: &[f64]) -> Outcome<(String, Vec<u8>)> {
    let [path, dtype, count] = description.split_whitespace().collect::<Vec<_>>()[..] else { return Err(description.into()) };
    let dtype = DType::of_name(dtype).ok_or("no such type")?;
    let ty = Type::new(dtype, &[count.parse().map_err(|_| "no count")?]);
    let file = blob::single(&ty, &tensor(&ty, values)?.to_bytes()).map_err(|e| e.to_string())?;
    Ok((path.to_owned(), file))
}

fn case(file: &str) -> Outcome<Case> {
    let mut case = Case { profile: "exact".to_owned(), ..Case::default() };
    for line in file.lines().skip(1).filter_map(|l| l.strip_prefix("// ")) {
        let (key, value) = line.split_once(": ").ok_or_else(|| format!("`{line}` says nothing"))?;
        match key.split_once(' ') {
            _ if key == "profile" => case.profile = value.trim().to_owned(),
            _ if key == "tolerance" => case.tolerance = Some(value.trim().parse().map_err(|_| "no tolerance")?),
            _ if key == "fails" => case.fails = Some(value.to_owned()),
            Some(("gives", name)) => case.outputs.push((name.to_owned(), numbers(value)?)),
            Some(("file", description)) => case.files.push(weight_file(description, &numbers(value)?)?),
            _ => case.inputs.push((key.to_owned(), numbers(value)?)),
        }
    }
    if case.outputs.is_empty() == case.fails.is_none() { Err("what it gives, or how it fails".into()) } else { Ok(case) }
}

fn run(text: &str, case: &Case) -> Outcome<Vec<(String, Tensor<f64>)>> {
    let program = parse(text).map_err(|e| format!("{}: {}", e.span, e.message))?;
    check(&program).map_err(|e| format!("{}: {}", e.span, e.message))?;
    let numerics = Numerics::of_name(&case.profile).ok_or("no such profile")?;
    let ready = Executable::new(&program, &case.files, numerics).map_err(|e| e.to_string())?;
    let bindings = ready.inputs("main").map_err(|e| e.to_string())?;
    let given = |name: &str| case.inputs.iter().find(|(n, _)| n == name).ok_or(format!("no line for `{name}`"));
    let inputs = bindings.iter().map(|b| tensor(&b.ty, &given(&b.name)?.1)).collect::<Outcome<Vec<_>>>()?;
    let outputs = ready.run_wide("main", &inputs).map_err(|e| e.to_string())?;
    Ok(program.functions[0].outputs.iter().cloned().zip(outputs).collect())
}

/// Whether `found` is near `expected`, of a tensor whose largest finite magnitude is `largest`.
fn close(found: f64, expected: f64, largest: f64, tolerance: f64) -> bool {
    match tolerance {
        0.0 => found.to_bits() == expected.to_bits(),
        _ if !expected.is_finite() => found == expected || found.is_nan() && expected.is_nan(),
        _ => (found - expected).abs() <= tolerance * expected.abs().max(largest / 20.0) + 1e-7,
    }
}

fn judge(path: &Path) -> Outcome<()> {
    let file = fs::read_to_string(path).map_err(|e| e.to_string())?;
    if file.lines().next() != Some("// test: run") {
        return Err("line 1 is not `// test: run`".into());
    }
    let text: Vec<&str> = file.lines().map(|line| if line.starts_with("//") { "" } else { line }).collect();
    let case = case(&file)?;
    let outputs = match (run(&text.join("\n"), &case), &case.fails) {
        (Ok(outputs), None) => outputs,
        (Err(message), Some(words)) if message.contains(words.as_str()) => return Ok(()),
        (Err(message), _) => return Err(message),
        (Ok(_), Some(words)) => return Err(format!("it runs, and should fail with `{words}`")),
    };
    if outputs.len() != case.outputs.len() {
        return Err(format!("{} outputs, {} are expected", outputs.len(), case.outputs.len()));
    }
    for (name, expected) in &case.outputs {
        let found = &outputs.iter().find(|(n, _)| n == name).ok_or(format!("no output `{name}`"))?.1.numbers();
        let tolerance = case.tolerance.unwrap_or(UNIT);
        let largest = expected.iter().map(|e| e.abs()).filter(|e| e.is_finite()).fold(0.0, f64::max);
        let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| close(*f, *e, largest, tolerance));
        if !fits {
            return Err(format!("{name}:\nexpected {expected:?}\nfound    {found:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_program_gives_what_its_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests/run");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 30, "{} files", paths.len());
    let failures: Vec<String> = paths.iter().filter_map(|p| judge(p).err().map(|e| format!("{}: {e}", p.display()))).collect();
    assert!(failures.is_empty(), "{} of {} files:\n{}", failures.len(), paths.len(), failures.join("\n\n"));
}

#[test]
fn a_wrong_number_is_noticed() {
    assert!(close(5116.0, 5116.0, 5116.0, 0.0) && !close(5120.0, 5116.0, 5116.0, 0.0) && !close(-0.0, 0.0, 1.0, 0.0));
    assert!(close(1.0005, 1.0, 1.0, UNIT) && !close(1.002, 1.0, 1.0, UNIT) && !close(1.0, f64::INFINITY, 1.0, UNIT));
    assert_eq!(numbers("1 3 x 2.5 true"), Ok(vec![1.0, 2.5, 2.5, 2.5, 1.0]));
}
