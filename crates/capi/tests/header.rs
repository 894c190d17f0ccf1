//! `include/ane_bridge.h` is what cbindgen makes of the functions: `UPDATE_HEADER=1 cargo test -p capi --test header` writes it.
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_config(config).with_src(root.join("src/abi.rs")).generate().unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let path = root.join("include/ane_bridge.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == made, "include/ane_bridge.h is stale: UPDATE_HEADER=1 cargo test -p capi --test header");
    assert_eq!(made.matches("ane_bridge_free_blob(").count(), 1, "declared once, as it is defined");
}
