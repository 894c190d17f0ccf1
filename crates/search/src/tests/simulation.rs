//! Whole searches on a simulated objective with known effects and noise, thousands of times; beside them the original's rule,
//! one run a trial and the lower value kept, which fails the same tests.

use crate::calibration::{self, Calibration, POWER, detectable};
use crate::race::{Next, Race, Rules, Stage, Verdict};
use crate::{Rng, stats};

const REPEATS: u64 = 2000;

fn rules() -> Rules {
    Rules { alpha: 0.05, min_effect: 0.0, seeds: 4, looks: 3, max_pairs: 12 }
}

/// Runs have a part of their noise in common by seed (correlation `rho`), the rest is their own.
struct World {
    rng: Rng,
    sigma: f64,
    rho: f64,
}

impl World {
    fn pair(&mut self, incumbent: f64, candidate: f64) -> (f64, f64) {
        let common = self.rho.sqrt() * self.rng.normal();
        let own = (1.0 - self.rho).sqrt();
        let mut run = |mean: f64| mean + self.sigma * (common + own * self.rng.normal());
        (run(incumbent), run(candidate))
    }

    fn race(&mut self, rules: &Rules, incumbent: f64, candidate: f64, attempts: &mut usize) -> (Verdict, usize) {
        let (mut race, mut runs) = (Race::new(rules), 0);
        loop {
            match race.next() {
                Next::Done(verdict) => return (verdict, runs),
                Next::Attempt => {
                    *attempts += 1;
                    race.confirm(*attempts);
                }
                Next::Pair(stage, _) => {
                    let (i, c) = self.pair(incumbent, candidate);
                    runs += if stage == Stage::Screening { 1 } else { 2 };
                    race.record(i, c);
                }
            }
        }
    }

    /// A search over `trials` candidates with these gains: kept ones, false keeps, true loss at the end.
    fn search(&mut self, rules: &Rules, gains: &dyn Fn(&mut Rng) -> f64, trials: usize) -> (usize, usize, f64) {
        let (mut best, mut attempts, mut kept, mut wrong) = (0.0, 0, 0, 0);
        for _ in 0..trials {
            let candidate = best - gains(&mut self.rng);
            if self.race(rules, best, candidate, &mut attempts).0 == Verdict::Keep {
                kept += 1;
                wrong += usize::from(candidate >= best);
                best = candidate;
            }
        }
        (kept, wrong, best)
    }

    /// The original's: false keeps, claimed gain, true gain.
    fn greedy(&mut self, gains: &dyn Fn(&mut Rng) -> f64, trials: usize) -> (usize, f64, f64) {
        let (mut truth, mut best, mut wrong) = (0.0, self.sigma * self.rng.normal(), 0);
        let first = best;
        for _ in 0..trials {
            let candidate = truth - gains(&mut self.rng);
            let seen = candidate + self.sigma * self.rng.normal();
            if seen < best {
                wrong += usize::from(candidate >= truth);
                (truth, best) = (candidate, seen);
            }
        }
        (wrong, first - best, -truth)
    }
}

fn world(seed: u64, sigma: f64, rho: f64) -> World {
    World { rng: Rng::new(seed.wrapping_mul(7919) + 1), sigma, rho }
}

/// The bound that a share of alpha over so many repeats stays under, but for one chance in 10,000.
fn bound(alpha: f64, repeats: u64) -> f64 {
    alpha + 3.7 * (alpha * (1.0 - alpha) / repeats as f64).sqrt()
}

#[test]
fn under_pure_noise_a_whole_search_keeps_nothing_but_for_alpha() {
    let nothing = |_: &mut Rng| 0.0;
    for (sigma, rho) in [(0.2, 0.0), (0.03, 0.95)] {
        let with_keep = (0..REPEATS).filter(|&s| world(s, sigma, rho).search(&rules(), &nothing, 100).0 > 0).count();
        let share = with_keep as f64 / REPEATS as f64;
        assert!(share <= bound(0.05, REPEATS), "sigma {sigma} rho {rho}: {share}");
        let greedy: Vec<_> = (0..REPEATS).map(|s| world(s, sigma, rho).greedy(&nothing, 100)).collect();
        let fooled = greedy.iter().filter(|g| g.0 > 0).count() as f64 / REPEATS as f64;
        assert!(fooled > 0.9, "the original's rule: {fooled}");
        let claimed = greedy.iter().map(|g| g.1).sum::<f64>() / REPEATS as f64;
        assert!((claimed / sigma - stats::expected_best(101)).abs() < 0.1, "claims {claimed}");
        println!("sigma {sigma} rho {rho}: a false keep in {share:.4} of searches; greedy in {fooled:.4}, claiming {claimed:.3}");
    }
}

#[test]
fn worse_and_equal_candidates_among_good_ones_are_kept_by_mistake_at_most_alpha() {
    let mixed = |rng: &mut Rng| match rng.uniform() {
        u if u < 0.08 => 0.01,
        u if u < 0.58 => 0.0,
        _ => -0.01,
    };
    let (mut wrong, mut gain, mut greedy_wrong, mut greedy_gain) = (0, 0.0, 0, 0.0);
    for s in 0..REPEATS {
        let (_, w, best) = world(s, 0.03, 0.95).search(&rules(), &mixed, 40);
        wrong += usize::from(w > 0);
        gain -= best / REPEATS as f64;
        let (w, _, truth) = world(s, 0.03, 0.95).greedy(&mixed, 100);
        greedy_wrong += usize::from(w > 0);
        greedy_gain += truth / REPEATS as f64;
    }
    let share = wrong as f64 / REPEATS as f64;
    let fooled = greedy_wrong as f64 / REPEATS as f64;
    assert!(share <= bound(0.05, REPEATS), "{share}");
    assert!(gain > 0.002, "{gain}");
    assert!(fooled > 0.9, "the original's rule: {fooled}");
    assert!(gain > greedy_gain, "{gain} {greedy_gain}");
    println!("mixed: false keeps in {share:.4}, true gain {gain:.4}; greedy in {fooled:.4}, true gain {greedy_gain:.4}");
}

#[test]
fn a_gain_of_the_size_that_is_stated_as_detectable_is_found_with_the_power_that_is_stated() {
    let (sigma, rho) = (0.03, 0.8);
    let rules = rules();
    let gain = detectable(sigma * f64::sqrt(2.0 * (1.0 - rho)), 1e6, &rules, POWER);
    let found = (0..REPEATS).filter(|&s| world(s, sigma, rho).race(&rules, 0.0, -gain, &mut 0).0 == Verdict::Keep).count();
    let power = found as f64 / REPEATS as f64;
    assert!(power >= POWER, "{power}");
    let small = gain / 8.0;
    let lucky = (0..REPEATS).filter(|&s| world(s, sigma, rho).race(&rules, 0.0, -small, &mut 0).0 == Verdict::Keep).count();
    assert!((lucky as f64) < 0.2 * REPEATS as f64, "an eighth of it is found in {lucky}");
    println!("deviation known: gain {gain:.4} found in {power:.3}");
}

/// The program knows no deviation: it has what its few runs of baseline and tweak gave. The gain that it states is found with the
/// power that it states all the same, on average over what these runs may have given.
#[test]
fn the_stated_power_is_reached_with_a_deviation_that_was_estimated_as_the_program_does() {
    let (sigma, rho) = (0.03, 0.8);
    for seeds in [2, 4, 8] {
        let rules = Rules { seeds, ..rules() };
        let runs = calibration::runs(&rules);
        let factor = detectable(1.0, runs as f64 - 1.0, &rules, POWER);
        let (mut found, mut lucky, mut greedy, mut fooled, mut gains) = (0, 0, 0, 0, Vec::new());
        for s in 0..REPEATS {
            let mut world = world(s, sigma, rho);
            let (baseline, tweaked): (Vec<f64>, Vec<f64>) = (0..runs).map(|_| world.pair(0.0, 0.0)).unzip();
            let noted = Calibration::of([0.0; 2], &baseline, &tweaked, &rules, 100);
            assert!(s > 9 || (noted.detectable / (factor * noted.sigma_paired) - 1.0).abs() < 1e-9);
            let gain = factor * noted.sigma_paired;
            found += usize::from(world.race(&rules, 0.0, -gain, &mut 0).0 == Verdict::Keep);
            lucky += usize::from(world.race(&rules, 0.0, 0.0, &mut 0).0 == Verdict::Keep);
            greedy += world.greedy(&|_| gain, 1).2.partial_cmp(&0.0).map_or(0, |o| usize::from(o.is_gt()));
            fooled += world.greedy(&|_| 0.0, 1).0;
            gains.push(gain);
        }
        let share = |n: usize| n as f64 / REPEATS as f64;
        assert!(share(found) >= POWER, "{seeds} seeds: {}", share(found));
        assert!(share(lucky) <= bound(0.05, REPEATS), "{seeds} seeds: {}", share(lucky));
        assert!(share(fooled) > 0.4, "the original's rule keeps one in two of no gain: {}", share(fooled));
        gains.sort_by(f64::total_cmp);
        println!(
            "{seeds} seeds, {runs} runs: the gain that is stated (middle {:.4}) is found in {:.3}, one of 0 in {:.4}; greedy {:.3} and {:.3}",
            gains[gains.len() / 2],
            share(found),
            share(lucky),
            share(greedy),
            share(fooled)
        );
    }
}

#[test]
fn a_crash_is_a_crash_and_equal_runs_are_no_gain() {
    let mut race = Race::new(&rules());
    race.record(1.0, f64::NAN);
    assert_eq!(race.next(), Next::Done(Verdict::Crash));
    let mut race = Race::new(&rules());
    for _ in 0..4 {
        race.record(1.0, 1.0);
    }
    assert_eq!(race.next(), Next::Done(Verdict::Revert));
}

/// A candidate's luck in the screening is not counted again: its confirmation looks at fresh pairs alone.
#[test]
fn the_screening_alone_never_keeps() {
    let mut race = Race::new(&rules());
    for _ in 0..4 {
        race.record(2.0, 1.0);
    }
    assert_eq!(race.next(), Next::Attempt);
    race.confirm(1);
    assert_eq!(race.next(), Next::Pair(Stage::Confirmation, 0));
    for d in [-0.1, -0.2, -0.15, -0.12] {
        race.record(1.0, 1.0 - d);
    }
    assert_eq!(race.next(), Next::Done(Verdict::Revert));
}
