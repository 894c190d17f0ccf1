//! What compiling a chat template may take, in a process of its own: the length of the source bounds it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use data::chat::ChatTemplate;

/// Largest resident memory of this process so far, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn compiling_takes_memory_in_proportion_to_the_source_and_a_long_source_is_not_compiled() {
    let full = |begin: &str, unit: &str, end: &str| {
        let n = ((64 << 10) - begin.len() - end.len()) / unit.len();
        format!("{begin}{}{end}", unit.repeat(n))
    };
    let before = peak();
    let kinds = [("{{ ", "-", "x }}"), ("{{ x", "+x", " }}"), ("{{ x", "()", " }}"), ("{{ [1", ",[]", "] }}"), ("", "{{1}}", "")];
    for (begin, unit, end) in kinds {
        // a chain may also be given up, which is no less bounded
        let _ = ChatTemplate::new(&full(begin, unit, end), Path::new("t"));
        assert!(peak() - before < 64 << 10, "{unit}: {} KiB for 64 KiB of source", peak() - before);
    }
    let before = peak();
    for source in [full("", "{{1}}", "").repeat(100), "{{ x".to_owned() + &"+x".repeat(4 << 20) + " }}"] {
        let error = ChatTemplate::new(&source, Path::new("t")).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains("at most 65536 bytes"), "{error}");
        // the source itself is all that there is of it
        assert!(peak() - before < (16 << 10) + source.len() / 1024, "{} KiB", peak() - before);
    }
}
