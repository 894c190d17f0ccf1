//! The few distributions that verdicts need: normal and Student's t, by the incomplete beta function (continued fraction of
//! Lentz, as in Numerical Recipes 6.4) and bisection.

/// Mean of `x`; NaN when empty.
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Standard deviation of a sample; NaN below two values.
pub fn deviation(x: &[f64]) -> f64 {
    let m = mean(x);
    (x.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (x.len() as f64 - 1.0)).sqrt()
}

/// Correlation of two samples; 1 where both are constant in the same way, NaN below two values.
pub fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let (mx, my) = (mean(x), mean(y));
    let sum = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(a, b)| f(a - mx, b - my)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 6] = [
        76.180_091_729_471_46,
        -86.505_320_329_416_77,
        24.014_098_240_830_91,
        -1.231_739_572_450_155,
        1.208_650_973_866_179e-3,
        -5.395_239_384_953e-6,
    ];
    let base = x + 5.5 - (x + 0.5) * (x + 5.5).ln();
    let series = C.iter().enumerate().fold(1.000_000_000_190_015, |s, (i, c)| s + c / (x + 1.0 + i as f64));
    (2.506_628_274_631_000_7 * series / x).ln() - base
}

/// Regularised incomplete beta function.
fn beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    let floor = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / floor(1.0 - (a + b) * x / (a + 1.0)));
    let mut h = d;
    for m in 1..300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / floor(1.0 + even * d);
        c = floor(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / floor(1.0 + odd * d);
        c = floor(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front * h / a
}

/// Probability that Student's t with `df` degrees of freedom exceeds `t`.
pub fn t_tail(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    let half = 0.5 * beta(0.5 * df, 0.5, df / (df + t * t));
    if t >= 0.0 { half } else { 1.0 - half }
}

/// The value that Student's t exceeds with probability `p`.
pub fn t_upper(p: f64, df: f64) -> f64 {
    let (mut low, mut high) = (-1e9, 1e9);
    for _ in 0..200 {
        let mid = 0.5 * (low + high);
        if t_tail(mid, df) > p { low = mid } else { high = mid }
    }
    0.5 * (low + high)
}

/// Probability that a standard normal exceeds `z`: complementary error function, fitted to 1.2e-7 (Numerical Recipes 6.2).
pub fn normal_tail(z: f64) -> f64 {
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let half = 0.5 * t * (-x * x + C.iter().rev().fold(0.0, |s, c| s * t + c)).exp();
    if z >= 0.0 { half } else { 1.0 - half }
}

/// The value that a standard normal exceeds with probability `p`.
pub fn normal_upper(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..80 {
        let mid = 0.5 * (low + high);
        if normal_tail(mid) > p { low = mid } else { high = mid }
    }
    0.5 * (low + high)
}

/// p of the one-sided paired test that the mean of `gains` is above 0; 1 below two values.
pub fn paired_p(gains: &[f64]) -> f64 {
    let n = gains.len() as f64;
    if n < 2.0 {
        return 1.0;
    }
    let (m, s) = (mean(gains), deviation(gains));
    match s > 0.0 {
        true => t_tail(m / (s / n.sqrt()), n - 1.0),
        // equal differences to the bit: there is no noise to hide behind
        false => f64::from(u8::from(m <= 0.0)),
    }
}

/// Mean of `x` and the ends of its confidence interval at `level`; an infinite one below two values.
pub fn interval(x: &[f64], level: f64) -> (f64, f64, f64) {
    let (m, n) = (mean(x), x.len() as f64);
    if n < 2.0 {
        return (m, f64::NEG_INFINITY, f64::INFINITY);
    }
    let half = t_upper((1.0 - level) / 2.0, n - 1.0) * deviation(x) / n.sqrt();
    (m, m - half, m + half)
}

/// Expected best of `n` draws of pure noise, in standard deviations (Blom): what greedy search reports as a gain.
pub fn expected_best(n: usize) -> f64 {
    if n < 2 { 0.0 } else { normal_upper(1.0 - (n as f64 - 0.375) / (n as f64 + 0.25)) }
}
