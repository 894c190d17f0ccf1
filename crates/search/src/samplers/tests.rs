#![allow(clippy::unwrap_used)]
use super::*;
use crate::Param;

fn space() -> Space {
    let texts = ["a=0..1.0", "b=1e-4..1e-1:log", "c=1..20", "d=x|y|z"];
    Space { params: texts.iter().map(|t| Param::parse(t).unwrap()).collect() }
}

/// Least at a = 0.3, b = 1e-2, c = 7, d = y.
fn value(space: &Space, config: &Config) -> f64 {
    let u = space.unit(config);
    (u[0] - 0.3).powi(2) + (u[1] - 2.0 / 3.0).powi(2) + (u[2] - 0.33).powi(2) + 0.2 * f64::from(u8::from(config[3] != 1.0))
}

fn search(kind: SamplerKind, seed: u64, trials: usize) -> (f64, Vec<Config>) {
    let space = space();
    let mut known: Vec<(Config, Option<f64>)> = Vec::new();
    let mut best = (f64::INFINITY, space.at(&[0.9, 0.1, 0.9, 0.1]));
    for _ in 0..trials {
        let history = History { space: &space, trials: &known, incumbent: &best.1, settle: &|c| c, admits: &|c| c[2] != 13.0 };
        let config = propose(kind, &history, seed).unwrap();
        let v = value(&space, &config);
        if v < best.0 {
            best = (v, config.clone());
        }
        known.push((config, Some(v)));
    }
    (best.0, known.into_iter().map(|(c, _)| c).collect())
}

#[test]
fn models_find_more_than_chance() {
    let mean = |kind| (0..20).map(|s| search(kind, s, 80).0).sum::<f64>() / 20.0;
    let random = mean(SamplerKind::Random);
    for kind in [SamplerKind::Tpe, SamplerKind::Cmaes, SamplerKind::Local] {
        let found = mean(kind);
        assert!(found < 0.7 * random, "{}: {found} and by chance {random}", kind.name());
    }
}

#[test]
fn no_configuration_is_proposed_twice_and_none_that_is_not_admitted() {
    for kind in SamplerKind::NAMES {
        let (_, all) = search(SamplerKind::of(kind).unwrap(), 3, 120);
        let keys: HashSet<String> = all.iter().map(|c| space().key(c)).collect();
        assert_eq!(keys.len(), all.len(), "{kind}");
        assert!(all.iter().all(|c| c[2] != 13.0), "{kind}");
    }
}

#[test]
fn a_small_space_is_used_up_by_every_sampler() {
    let space = Space { params: vec![Param::parse("c=1..3").unwrap(), Param::parse("d=x|y").unwrap()] };
    for kind in SamplerKind::NAMES {
        let kind = SamplerKind::of(kind).unwrap();
        let mut known: Vec<(Config, Option<f64>)> = Vec::new();
        while let Some(config) = propose(
            kind,
            &History { space: &space, trials: &known, incumbent: &[2.0, 0.0], settle: &|c| c, admits: &|_| true },
            1,
        ) {
            known.push((config, Some(1.0)));
        }
        assert_eq!(known.len(), 6, "{}", kind.name());
    }
}

#[test]
fn the_best_third_of_a_rung_goes_on() {
    let rungs = Rungs::default();
    assert_eq!((rungs.share(0), rungs.share(1), rungs.share(2)), (1.0 / 9.0, 1.0 / 3.0, 1.0));
    let others: Vec<_> = (1..=8).map(|i| [(0u64, f64::from(i))].into()).collect();
    assert!(promoted(rungs, 0, 0.5, &others) && promoted(rungs, 0, 2.5, &others));
    assert!(!promoted(rungs, 0, 3.5, &others) && !promoted(rungs, 0, f64::NAN, &[]));
}
