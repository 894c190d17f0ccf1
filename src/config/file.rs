//! TOML files: `--config FILE` as people write it, and the `config.resolved.toml` of a run.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::layers::{Given, Origin};
use super::{SETTINGS, TrainConfig, nearest, setting};
use crate::exit::{self, Exit};

/// Name of a run's configuration.
pub const RESOLVED_FILE: &str = "config.resolved.toml";

/// Table of a resolved configuration that says where each value came from; read by people only.
const ORIGIN: &str = "origin";

/// The settings in a `--config` file.
///
/// # Errors
/// 66 when it is missing; a usage error with file and line for bad TOML, an unknown key, or a bad value.
pub fn read_config(path: &Path) -> anyhow::Result<Vec<Given>> {
    parse(&read(path)?, path, |line| Origin::File(path.to_path_buf(), line)).map_err(exit::usage)
}

/// The settings in a configuration that the program wrote.
///
/// # Errors
/// 66 when it is missing; 65 when it is damaged.
pub fn read_stored(path: &Path, origin: impl Fn(usize) -> Origin) -> anyhow::Result<Vec<Given>> {
    parse(&read(path)?, path, origin).map_err(|why| Exit::new(exit::BAD_DATA, why).into())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Exit::new(exit::code_of_io(&e), format!("{}: {e}; expected a TOML file of settings", path.display())).into())
}

fn parse(source: &str, path: &Path, origin: impl Fn(usize) -> Origin) -> Result<Vec<Given>, String> {
    let line_at = |offset: usize| 1 + source.bytes().take(offset).filter(|b| *b == b'\n').count();
    let place = |offset| format!("{}:{}", path.display(), line_at(offset));
    let table = DeTable::parse(source).map_err(|e| format!("{}: {}", place(e.span().map_or(0, |s| s.start)), e.message()))?;
    let mut given: Vec<Given> = Vec::new();
    for (key, value) in table.into_inner() {
        let at = key.span().start;
        if key.get_ref() == ORIGIN && value.get_ref().is_table() {
            continue;
        }
        let Some(setting) = setting(key.get_ref()) else {
            let near = nearest(key.get_ref(), SETTINGS.iter().map(|s| s.key));
            let hint = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            return Err(format!("{}: unknown key `{}`{hint}", place(at), key.get_ref()));
        };
        if given.iter().any(|g| g.key == setting.key) {
            return Err(format!("{}: `{}` is set twice", place(at), setting.key));
        }
        let text = text_of(value.get_ref())
            .map_err(|found| format!("{}: {}: found {found}, expected a string, number or boolean", place(at), setting.key))?;
        given.push(Given::checked(setting, text, Origin::File(path.to_path_buf(), line_at(at)))?);
    }
    for g in &mut given {
        if let Origin::File(_, line) = g.origin {
            g.origin = origin(line);
        }
    }
    Ok(given)
}

/// The text of a value: of numbers as they stand in the file, so that no digit is lost.
fn text_of(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(s) => Ok(s.to_string()),
        DeValue::Integer(i) if i.radix() == 10 => Ok(i.as_str().to_owned()),
        DeValue::Integer(_) => Err("an integer that is not decimal"),
        DeValue::Float(f) => Ok(f.as_str().replace('_', "")),
        DeValue::Boolean(b) => Ok(b.to_string()),
        other => Err(other.type_str()),
    }
}

/// `config` as TOML: every setting, then where each came from (`origin` may be empty).
pub fn write(config: &TrainConfig, origins: &[(&'static str, String)]) -> String {
    let mut text = String::from("# Everything that decided this run; `autoane train --config` takes this file.\n");
    for setting in SETTINGS {
        text.push_str(&format!("{} = {}\n", setting.key, literal((setting.get)(config))));
    }
    if !origins.is_empty() {
        text.push_str(&format!("\n[{ORIGIN}]\n"));
    }
    for (key, origin) in origins {
        text.push_str(&format!("{key} = {}\n", toml::Value::String(origin.clone())));
    }
    text
}

fn literal(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(s) => toml::Value::String(s).to_string(),
        // TOML's floats need a point or an exponent, which Debug always writes
        serde_json::Value::Number(n) if n.is_f64() => format!("{:?}", n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read_text(text: &str) -> Result<TrainConfig, String> {
        let mut config = TrainConfig::default();
        for g in parse(text, Path::new("f.toml"), |line| Origin::File("f.toml".into(), line))? {
            (setting(g.key).unwrap().set)(&mut config, &g.text)?;
        }
        Ok(config)
    }

    #[test]
    fn written_and_read_is_the_same_to_the_bit() {
        let mut x = 0x1234_5678u32;
        for i in 0..2000u64 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let learning_rate = f32::from_bits(x & 0x7fff_ffff);
            if !(learning_rate.is_finite() && learning_rate > 0.0 && learning_rate <= 1e3) {
                continue;
            }
            let val_fraction = f64::from(x) / f64::from(u32::MAX) * 0.9;
            let config = TrainConfig {
                learning_rate,
                val_fraction,
                residual_scale: Some(learning_rate / 3.0).filter(|r| *r > 0.0),
                seed: i << 50,
                data: "a \"b\"\\c\n\u{1F600}".into(),
                warmup: crate::config::Warmup::Percent(val_fraction * 7.0),
                max_time: Some(std::time::Duration::from_millis(u64::from(x))),
                ..TrainConfig::default()
            };
            assert_eq!(read_text(&write(&config, &[("seed", "flag".into())])).unwrap(), config);
        }
    }

    #[test]
    fn errors_carry_line_and_suggestion() {
        let cases = [
            ("steps = 5\nlearing-rate = 1e-3\n", "f.toml:2: unknown key `learing-rate`; did you mean `learning-rate`?"),
            ("steps = 5\n\nseed = -1\n", "f.toml:3: seed: found `-1`, expected a whole number"),
            ("steps = [1]\n", "f.toml:1: steps: found array, expected a string, number or boolean"),
            ("seq-len = 5\nseq_len = 6\n", "f.toml:2: `seq-len` is set twice"),
        ];
        for (text, message) in cases {
            assert_eq!(read_text(text).unwrap_err(), message);
        }
        assert!(read_text("a = 1\nb = = 2").unwrap_err().starts_with("f.toml:2: "));
    }

    #[test]
    fn snake_case_keys_are_the_same_keys() {
        let config = read_text("learning_rate = 0.5\ncompact_vocab = false\neval_every = 7\nmax_time = \"3m\"").unwrap();
        assert_eq!((config.learning_rate, config.compact_vocab), (0.5, false));
        assert_eq!(config.eval_every, crate::config::Every::Steps(7));
    }
}
