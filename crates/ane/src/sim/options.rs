//! A [`Profile`] as people type it: `m4`, `m1,strict`, `m4,evaluate=3,zeros=from:10,memory=rate:0.01,seed=7`.

use std::str::FromStr;

use mil::blob::Validation;

use super::fault::When;
use super::numerics::Arithmetic;
use super::profile::{PortOrder, Profile, SizeRule};
use crate::cost::Machine;

const EXPECTED: &str = "m1 to m5 (-pro, -max, -ultra), strict, or KEY=VALUE with a key of compile, evaluate, memory, zeros, spike (N, from:N or rate:P), \
                        seed, jitter, budget, loaded, minimum, row-align, sizes (any, uniform, ascending), \
                        ports (declaration, alphabetical), blobs (strict, lenient), numerics (exact, engine, f64)";

/// Words between commas; chip and `strict` are taken first, wherever they stand.
impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|w| !w.is_empty()).collect();
        let machine = words.iter().find_map(|w| Machine::of_name(w)).unwrap_or_default();
        let mut profile = if words.contains(&"strict") { Profile::strict(machine) } else { Profile::lenient(machine) };
        for word in words {
            if word != "strict" && Machine::of_name(word).is_none() {
                set(&mut profile, word).ok_or_else(|| format!("`{word}`: expected {EXPECTED}"))?;
            }
        }
        Ok(profile)
    }
}

fn set(profile: &mut Profile, word: &str) -> Option<()> {
    let (key, value) = word.split_once('=')?;
    let faults = &mut profile.faults;
    match key {
        "compile" => faults.compile = when(value)?,
        "evaluate" => faults.evaluate = when(value)?,
        "memory" => faults.memory = when(value)?,
        "zeros" => faults.zeros = when(value)?,
        "spike" => faults.spike = when(value)?,
        "seed" => faults.seed = value.parse().ok()?,
        "jitter" => faults.jitter = value.parse().ok().filter(|j: &f64| j.is_finite() && *j >= 0.0)?,
        "budget" => profile.compile_budget = Some(value.parse().ok()?),
        "loaded" => profile.loaded_limit = Some(value.parse().ok()?),
        "minimum" => profile.minimum_bytes = value.parse().ok()?,
        "row-align" => profile.row_align = value.parse().ok().filter(|a: &usize| *a > 0)?,
        "sizes" => profile.size_rule = sizes(value)?,
        "ports" => profile.port_order = ports(value)?,
        "blobs" => profile.blobs = blobs(value)?,
        "numerics" => profile.arithmetic = arithmetic(value)?,
        _ => return None,
    }
    Some(())
}

fn when(value: &str) -> Option<When> {
    Some(match value.split_once(':') {
        None => When::At(value.parse().ok()?),
        Some(("from", n)) => When::From(n.parse().ok()?),
        Some(("rate", p)) => When::Rate(p.parse().ok().filter(|p| (0.0..=1.0).contains(p))?),
        Some(_) => return None,
    })
}

fn sizes(value: &str) -> Option<SizeRule> {
    Some(match value {
        "any" => SizeRule::Any,
        "uniform" => SizeRule::Uniform,
        "ascending" => SizeRule::Ascending,
        _ => return None,
    })
}

fn ports(value: &str) -> Option<PortOrder> {
    Some(match value {
        "declaration" => PortOrder::Declaration,
        "alphabetical" => PortOrder::Alphabetical,
        _ => return None,
    })
}

fn blobs(value: &str) -> Option<Validation> {
    Some(match value {
        "strict" => Validation::Strict,
        "lenient" => Validation::Lenient,
        _ => return None,
    })
}

fn arithmetic(value: &str) -> Option<Arithmetic> {
    Some(match value {
        "exact" => Arithmetic::Exact,
        "engine" => Arithmetic::Engine,
        "f64" => Arithmetic::Oracle,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_typed_in_words() {
        let m1 = Machine::of_name("m1").unwrap();
        assert_eq!("".parse(), Ok(Profile::default()));
        assert_eq!("m1".parse(), Ok(Profile::lenient(m1)));
        assert_eq!("strict, M1".parse(), Ok(Profile::strict(m1)));
        let typed: Profile = "m4,strict,evaluate=3,zeros=from:2,memory=rate:0.5,seed=9,budget=7,sizes=any".parse().unwrap();
        let mut expected = Profile::strict(Machine::default());
        expected.faults.evaluate = When::At(3);
        expected.faults.zeros = When::From(2);
        expected.faults.memory = When::Rate(0.5);
        expected.faults.seed = 9;
        expected.compile_budget = Some(7);
        expected.size_rule = SizeRule::Any;
        assert_eq!(typed, expected);
    }

    #[test]
    fn other_words_are_refused_by_name() {
        for word in
            ["m9", "evaluate", "evaluate=x", "zeros=rate:1.5", "zeros=at:1", "jitter=-1", "row-align=0", "ports=odd", "a=b"]
        {
            let error = format!("m4,{word}").parse::<Profile>().unwrap_err();
            assert!(error.contains(&format!("`{word}`")) && error.contains("row-align"), "{error}");
        }
    }
}
