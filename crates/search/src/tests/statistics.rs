use crate::Rng;
use crate::calibration::Calibration;
use crate::race::Rules;
use crate::stats::*;

/// Values of R's `pt`, `qt` and `pnorm`.
#[test]
fn distributions_agree_with_tables() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 2e-6 * b.abs().max(1.0), "{a} {b}");
    near(t_tail(2.0, 5.0), 0.050_969_74);
    near(t_tail(-1.0, 3.0), 0.804_498_9);
    near(t_tail(1.0, 1.0), 0.25);
    near(t_upper(0.025, 7.0), 2.364_624);
    near(t_upper(0.005, 11.0), 3.105_807);
    near(t_upper(0.05, 1.0), 6.313_752);
    near(normal_tail(1.959_964), 0.025);
    near(normal_upper(0.01), 2.326_348);
    // the best of 100 draws: exact 2.5076
    assert!((expected_best(100) - 2.5076).abs() < 0.01);
    assert_eq!(paired_p(&[0.5, 0.5, 0.5]), 0.0);
    assert_eq!((paired_p(&[0.0, 0.0]), paired_p(&[1.0])), (1.0, 1.0));
}

#[test]
fn levels_and_looks_never_spend_more_than_alpha() {
    let rules = Rules { alpha: 0.05, min_effect: 0.0, seeds: 4, looks: 4, max_pairs: 16 };
    let total: f64 = (1..100_000).map(|i| rules.level(i)).sum();
    assert!(total <= 0.05 && total > 0.0499, "{total}");
    for looks in 1..9 {
        let rules = Rules { looks, ..rules.clone() };
        let spent: f64 = (1..=looks).map(|k| rules.spent(0.03, k)).sum();
        assert!((spent - 0.03).abs() < 1e-12);
    }
}

#[test]
fn calibration_tells_noise_from_correlation() {
    let rules = Rules { alpha: 0.05, min_effect: 0.0, seeds: 4, looks: 3, max_pairs: 12 };
    let mut rng = Rng::new(5);
    let shared: Vec<f64> = (0..4000).map(|_| 3.0 + 0.2 * rng.normal()).collect();
    let other: Vec<f64> = shared.iter().map(|v| v + 0.05 * rng.normal()).collect();
    let c = Calibration::of([1.0, 1.0], &shared, &other, &rules, 100);
    assert!(c.identical && (c.sigma - 0.2).abs() < 0.01 && (c.sigma_paired - 0.05).abs() < 0.003);
    assert!((c.correlation - 0.97).abs() < 0.01 && (c.greedy_gain - 0.5).abs() < 0.03, "{c:?}");
    assert!(!Calibration::of([1.0, 1.0 + 1e-15], &shared, &other, &rules, 100).identical);
}
