//! The dynamic library from other languages: a C program against the header, and Python's ctypes.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROFILE: &str = "ANE_BRIDGE_SIM";

/// The library lies where the build put it: beside this test.
fn library() -> PathBuf {
    let name = format!("{}ane_bridge{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let path = std::env::current_exe().unwrap().with_file_name(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}

fn test_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn passes(what: &str, output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
}

/// Whether `command` can be run; says so if not.
fn is_there(command: &str) -> bool {
    let there = Command::new(command).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("SKIPPED: no `{command}` on this machine");
    }
    there
}

#[test]
fn a_c_program_compiles_evaluates_and_is_refused() {
    if !is_there("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (program, library) = (folder.path().join("bridge"), library());
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"]).arg(include).arg(test_file("bridge.c")).arg(&library);
    cc.arg(format!("-Wl,-rpath,{}", library.parent().unwrap().display())).args(["-lm", "-o"]).arg(&program);
    passes("cc", &cc.output().unwrap());
    for (what, profile) in [("all", "m4"), ("all", "m5-max,row-align=2"), ("faults", "m4,evaluate=2"), ("budget", "m4,budget=2")]
    {
        let output = Command::new(&program).arg(what).env(PROFILE, profile).output().unwrap();
        passes(&format!("bridge {what} on {profile}"), &output);
        assert!(String::from_utf8_lossy(&output.stdout).contains("checks"));
    }
    let output = Command::new(&program).arg("faults").env(PROFILE, "m9").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("ANE_BRIDGE_SIM: `m9`: expected"), "{output:?}");
}

#[test]
fn python_calls_the_library() {
    if !is_there("python3") {
        return;
    }
    let output = Command::new("python3").arg(test_file("bridge.py")).arg(library()).env(PROFILE, "m2").output().unwrap();
    passes("bridge.py", &output);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok");
}
