//! `mil` and `bench --pipeline`, driven end to end.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// The one JSON object of a run that ends with `code`.
fn json(args: &[&str], code: i32) -> Json {
    let output = run(&[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program ends with `code` and says each of `words`.
fn ends(args: &[&str], code: i32, words: &[&str]) {
    let output = run(args);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?}: no `{word}` in: {said}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A program of one function: `y_out = op(x_in)` and a constant.
fn program(op: &str) -> String {
    format!(
        "program(1.3)
[buildInfo = dict<string, string>({{{{\"coremlc-version\", \"3505.4.1\"}}}})]
{{
    func main<ios18>(tensor<fp16, [1, 768, 1, 32]> x_in) {{
        fp16 half_1 = const()[name=string(\"half_1\"), val=fp16(0.5)];
        tensor<fp16, [1, 768, 1, 32]> mid_1 = mul(x=x_in, y=half_1)[name=string(\"mid_1\")];
        tensor<fp16, [1, 768, 1, 32]> y_out = {op}(x=mid_1)[name=string(\"y_out\")];
    }} -> (y_out);
}}
"
    )
}

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn npy(path: &Path, shape: &str, values: impl Iterator<Item = f32>) {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header += &" ".repeat(length - header.len() - 1);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(values.flat_map(f32::to_le_bytes));
    fs::write(path, bytes).unwrap();
}

fn values(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn a_sound_program_passes_and_a_doubtful_one_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let sound = written(dir.path(), "sound.mil", &program("sigmoid"));
    let doubtful = written(dir.path(), "doubtful.mil", &program("silu"));
    ends(&["mil", "check", text(&sound), "--strict"], 0, &["sound.mil: passed for M4"]);
    ends(&["mil", "check", text(&doubtful)], 0, &["doubtful.mil:7:9: warning: ANE-33", "Orion", "passed"]);
    let words = ["doubtful.mil:7:9: error: ANE-33 (sources conflict)", "Evidence:", "1 of 2 programs refused"];
    ends(&["mil", "check", text(&sound), text(&doubtful), "--strict", "--chip", "m3"], 65, &words);
    let found = json(&["mil", "check", text(&doubtful), "--strict"], 65);
    assert_eq!(found["files"][0]["found"][0]["rule"], "ANE-33");
    assert_eq!(found["files"][0]["found"][0]["line"], 7);
}

#[test]
fn bad_programs_end_with_65_and_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, text_of: &str, words: &[&str]| {
        let path = written(dir.path(), name, text_of);
        ends(&["mil", "check", text(&path)], 65, &[&[name], words].concat());
    };
    check("unknown.mil", &program("sigmoyd"), &[":7:", "sigmoyd", "sigmoid"]);
    check("cut.mil", &program("sigmoid")[..300], &["cut.mil:"]);
    check("shape.mil", &program("sigmoid").replace("[1, 768, 1, 32]> y_out", "[1, 768, 1, 64]> y_out"), &[":7:", "64"]);
    let binary = dir.path().join("binary.mil");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    ends(&["mil", "check", text(&binary)], 65, &["offset 0", "expected text"]);
    ends(&["mil", "check", "nowhere.mil"], 66, &["nowhere.mil"]);
    ends(&["mil", "check", text(&binary), "--chip", "m9"], 2, &["m9", "m5"]);
}

#[test]
fn a_folder_is_no_program() {
    let dir = tempfile::tempdir().unwrap();
    ends(&["mil", "check", text(dir.path())], 2, &["is a folder", "model.mil"]);
}

#[test]
fn programs_run_on_the_interpreter() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let file = written(dir.path(), "a.mil", &program("sigmoid"));
    npy(&path("x.npy"), "1, 768, 1, 32", (0..768 * 32).map(|i| (i % 64) as f32 / 8.0 - 4.0));
    let input = format!("x_in={}", path("x.npy").display());
    let output = |name: &str| format!("y_out={}", path(name).display());
    for (name, numerics, tolerance) in [("exact.npy", "exact", 1e-3), ("f64.npy", "f64", 1e-6), ("ane.npy", "ane", 5e-3)] {
        ends(&["mil", "run", text(&file), "--input", &input, "--output", &output(name), "--numerics", numerics], 0, &[name]);
        for (i, y) in values(&path(name)).into_iter().enumerate() {
            let x = ((i % 64) as f32 / 8.0 - 4.0) / 2.0;
            assert!((y - 1.0 / (1.0 + (-x).exp())).abs() < tolerance, "{numerics}: sigmoid({x}) = {y}");
        }
    }
    assert_ne!(values(&path("exact.npy")), values(&path("ane.npy")), "the engine's activations are tables");
    ends(&["mil", "run", text(&file), "--output", &output("y.npy")], 2, &["--input x_in=x_in.npy is missing"]);
    ends(&["mil", "run", text(&file), "--input", &input, "--output", "z=z.npy"], 2, &["the program returns y_out"]);
    npy(&path("x.npy"), "768, 32", (0..768 * 32).map(|i| i as f32));
    ends(
        &["mil", "run", text(&file), "--input", &input, "--output", &output("y.npy")],
        65,
        &["x.npy", "[768, 32]", "[1, 768, 1, 32]"],
    );
    fs::write(path("x.npy"), b"PK").unwrap();
    ends(&["mil", "run", text(&file), "--input", &input], 65, &["x.npy", "expected a NumPy array file"]);
}

/// Prints the programs of a pipeline of a small model; gives the index and the paths of the texts.
fn printed(dir: &Path, pipeline: &[&str]) -> (Json, Vec<PathBuf>) {
    let out = dir.join("programs");
    let args = [&["mil", "print", "stories-1m", "--seq-len", "64", "--out", text(&out), "--pipeline"], pipeline].concat();
    ends(&args, 0, &["model.mil"]);
    let index: Json = serde_json::from_slice(&fs::read(out.join("index.json")).unwrap()).unwrap();
    let programs = index["programs"].as_array().unwrap();
    let files = programs.iter().map(|p| out.join(p["file"].as_str().unwrap())).collect();
    (index, files)
}

#[test]
fn programs_of_every_pipeline_pass_the_strict_rules_of_every_chip_that_takes_them() {
    for pipeline in ["matmul-only", "static", "static-extras", "dynamic", "dynamic-cpu-bwd", "conv", "conv-fused"] {
        for kernels in ["fused", "original"] {
            let dir = tempfile::tempdir().unwrap();
            let (index, files) = printed(dir.path(), &[pipeline, "--ane-kernels", kernels]);
            assert!(!files.is_empty() && index["dispatches"]["forward"].as_u64().unwrap() >= 8, "{pipeline}");
            let files: Vec<&str> = files.iter().map(|f| text(f)).collect();
            for chip in ["m1", "m2", "m3", "m4", "m5"] {
                ends(&[&["mil", "check", "--strict", "--chip", chip], &files[..]].concat(), 0, &["passed"]);
            }
        }
    }
}

#[test]
fn a_printed_program_runs_from_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (index, files) = printed(dir.path(), &["static"]);
    let program = &index["programs"][0];
    let input = &program["inputs"][0];
    let shape: Vec<usize> = input["shape"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap() as usize).collect();
    let array = dir.path().join("x.npy");
    let extents: Vec<String> = shape.iter().map(ToString::to_string).collect();
    npy(&array, &extents.join(", "), (0..shape.iter().product::<usize>()).map(|i| (i % 17) as f32 / 17.0 - 0.5));
    let y = dir.path().join("y.npy");
    let [from, to] = [(&input["name"], &array), (&program["outputs"][0]["name"], &y)]
        .map(|(name, path)| format!("{}={}", name.as_str().unwrap(), path.display()));
    ends(&["mil", "run", text(&files[0]), "--input", &from, "--output", &to], 0, &["y.npy"]);
    let values = values(&y);
    assert!(values.iter().all(|v| v.is_finite()) && values.iter().any(|v| *v != 0.0));
    let weights = files[0].parent().unwrap().join(program["weights"][0].as_str().unwrap());
    fs::remove_file(weights).unwrap();
    ends(&["mil", "run", text(&files[0]), "--input", &from], 66, &["weight file @model_path/weights/"]);
    ends(&["mil", "check", text(&files[0])], 0, &["is not there"]);
}

#[test]
fn what_cannot_be_printed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("programs");
    ends(&["mil", "print", "stories-1m", "--out", text(&out)], 2, &["--pipeline"]);
    ends(
        &["mil", "print", "qwen3-0.6b", "--pipeline", "static", "--out", text(&out)],
        2,
        &["norms of query and key heads", "matmul-only"],
    );
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine"), "").unwrap();
    ends(&["mil", "print", "stories-1m", "--pipeline", "conv", "--out", text(&out)], 73, &["not empty"]);
}

#[test]
fn the_rules_are_printed() {
    ends(&["mil", "rules"], 0, &["ANE-01 ", "M1 to M3", "sources conflict"]);
    let rules = json(&["mil", "rules"], 0);
    assert!(rules["rules"].as_array().unwrap().len() > 50);
}

#[test]
fn bench_predicts_a_pipeline() {
    ends(
        &["bench", "stories110m", "--pipeline", "dynamic", "--chip", "m4-max"],
        0,
        &["M4 Max", "nothing here was measured", "dispatches"],
    );
    let of = |arguments: &[&str]| json(&[&["bench", "stories110m", "--pipeline"], arguments].concat(), 0);
    let (fused, original) = (of(&["dynamic"]), of(&["dynamic", "--ane-kernels", "original"]));
    assert_eq!(original["dispatches"], 120);
    assert!(fused["dispatches"].as_u64() < original["dispatches"].as_u64());
    let (m1, m4) = (of(&["static", "--chip", "m1"]), of(&["static", "--chip", "m4"]));
    assert!(m1["ms_per_step"].as_f64() > m4["ms_per_step"].as_f64());
    assert_eq!((m4["compiles_of_update"].as_u64(), fused["compiles_of_update"].as_u64()), (Some(60), Some(0)));
    assert_eq!(of(&["conv"])["compiles_of_update"], 0, "the base of an adapter is compiled once");
    ends(&["bench", "--chip", "m4"], 2, &["--pipeline"]);
    ends(&["bench", "--pipeline", "dynamik"], 2, &["dynamik", "dynamic-cpu-bwd"]);
}
