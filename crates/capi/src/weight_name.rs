//! Names of weight files: `@model_path/weights/x.bin`, which a device may write as a file under a folder of its own. A name
//! that could lead out of that folder is refused.

use crate::error::BridgeError;

const ROOT: &str = "@model_path/";

/// Checks the name of a weight file.
///
/// # Errors
/// When it does not begin with `@model_path/`, or has a part that is empty, `.`, `..`, or holds a backslash, a colon or a NUL.
pub fn check(name: &str) -> Result<(), BridgeError> {
    let refuse = |why| Err(BridgeError::WeightName { name: name.escape_debug().to_string(), why });
    let Some(path) = name.strip_prefix(ROOT) else {
        return refuse("it does not begin with @model_path/");
    };
    if path.contains(['\\', ':', '\0']) {
        return refuse("it holds a backslash, a colon or a NUL");
    }
    match path.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        Some("..") => refuse("it leads out of the folder of the program"),
        Some(_) => refuse("a part of it is empty or a dot"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_folder_of_the_program() {
        for name in ["@model_path/weights/weight.bin", "@model_path/a", "@model_path/weights/layer.0/..w"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "weights/x.bin",
            "/etc/passwd",
            "@model_path",
            "@model_path/",
            "@model_path//etc/passwd",
            "@model_path/../x",
            "@model_path/weights/../../x",
            "@model_path/weights/./x",
            "@model_path/weights/",
            "@model_path/weights\\..\\x",
            "@model_path/C:x",
            "@model_path/a\0b",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
