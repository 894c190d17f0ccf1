//! What is allowed: the tables that the rules read. A new crate, a new unsafe file or a long table is entered here.

/// Each crate and the crates of ours that it may name in `[dependencies]`. The root package may see all of them.
pub const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("kernels", &[]),
    ("data", &[]),
    ("meter", &[]),
    ("mil", &[]),
    ("search", &[]),
    ("engine", &["model", "kernels"]),
    ("formats", &["model"]),
    ("train", &["model", "kernels", "engine", "data"]),
    ("ane", &["model", "kernels", "engine", "mil"]),
    ("ane-macos", &["ane", "mil"]),
    ("capi", &["ane", "ane-macos", "mil"]),
    ("verify", &["model", "kernels", "engine", "data", "formats", "train", "mil", "ane", "ane-macos"]),
    ("xtask", &[]),
    // a workspace of its own, which runs every reader
    ("autoane-fuzz", &["model", "formats", "data", "train", "mil", "search"]),
];

/// Crates that open no file, start no program and read no environment.
pub const PURE: &[&str] = &["model", "kernels", "mil", "ane"];

/// Files, or folders where the entry ends in `/`, whose code may be `unsafe`: SIMD, the thread pool, memory maps, libc.
pub const UNSAFE: &[&str] = &[
    "crates/ane-macos/src/hardware.rs",
    "crates/ane-macos/src/hardware/",
    "crates/kernels/src/attention.rs",
    "crates/kernels/src/attention/",
    "crates/kernels/src/ceilings/fma.rs",
    "crates/kernels/src/gemm/",
    "crates/kernels/src/pool.rs",
    "crates/kernels/src/pool/",
    "crates/kernels/src/simd.rs",
    "crates/kernels/src/stored/",
    "crates/engine/tests/no_allocation.rs",
    "crates/capi/src/abi.rs",
    "crates/capi/src/raw.rs",
    "crates/capi/src/tests.rs",
    "crates/data/src/tokens.rs",
    "crates/formats/src/mapped.rs",
    "crates/meter/src/",
    "crates/train/src/checkpoint/disk.rs",
    "src/cmd/convert/swap.rs",
    "fuzz/src/bounds.rs",
];

/// Files that are tables, or were generated: no limit on their length, nor on that of their functions.
pub const TABLES: &[&str] = &["crates/data/src/stories/plots.rs", "crates/data/src/stories/plots_more.rs"];

/// Lines of a file and of a function, tests not counted: the first number warns, the second fails.
pub const FILE_LINES: (usize, usize) = (400, 600);
/// See [`FILE_LINES`].
pub const FUNCTION_LINES: (usize, usize) = (60, 80);

/// Parts that are to stay small: their files, or folders where the entry ends in `/`, and fewer lines of code than this,
/// comments and blank lines not counted.
pub const SMALL: &[(&[&str], usize)] = &[(&["crates/ane-macos/src/hardware.rs", "crates/ane-macos/src/hardware/"], 600)];

/// Words that no file of the repository may hold: paths of the machine it was written on and hosts of package
/// registries. In pieces, so that this file may be checked too.
pub const WORKSHOP: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tmp/te", "am"),
    concat!("static.crat", "es.io"),
    concat!("index.crat", "es.io"),
    concat!("py", "pi.org"),
    concat!("pythonho", "sted.org"),
    concat!("registry.npm", "js.org"),
    concat!("deb.deb", "ian.org"),
];

/// Files that other programs write and that name their sources.
pub const NOT_OURS: &[&str] = &["Cargo.lock"];

/// Whether `path` is one of `entries`, or lies in one that ends in `/`.
pub fn listed(path: &str, entries: &[&str]) -> bool {
    entries.iter().any(|e| if e.ends_with('/') { path.starts_with(e) } else { path == *e })
}
