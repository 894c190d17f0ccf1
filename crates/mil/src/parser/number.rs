//! Numbers: decimal, with an exponent, hexadecimal with a binary exponent (`-0x1.4p+3`).

/// The integer that `text` writes, decimal or hexadecimal; none where it is no integer or does not fit.
pub(super) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = signed(text);
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(unsigned(hex)?, 16),
        None => unsigned(digits)?.parse(),
    };
    value.ok().map(|v: i128| if negative { -v } else { v })
}

/// `digits`, unless a sign stands before them.
fn unsigned(digits: &str) -> Option<&str> {
    (!digits.starts_with(['-', '+'])).then_some(digits)
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The number that `text` writes, rounded to f64; none where it is no number, infinite where it is too large.
pub(super) fn float(text: &str) -> Option<f64> {
    let (negative, digits) = signed(text);
    let size = match digits.strip_prefix("0x") {
        Some(hex) => hexadecimal(hex)?,
        // the standard library also reads words
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    Some(if negative { -size } else { size })
}

/// Bits of the digits that are kept; those beyond leave a trace in the last, so that the rounding is right.
const KEPT: u32 = 60;

/// `1.4p+3` after the `0x`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, power(exponent)?),
        None => (text, 0),
    };
    let (mut mantissa, mut shift, mut point, mut any) = (0u64, 0i64, false, false);
    for c in digits.chars() {
        let Some(digit) = c.to_digit(16) else {
            match c == '.' && !point {
                true => point = true,
                false => return None,
            }
            continue;
        };
        any = true;
        if mantissa >> (KEPT - 4) == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            shift -= 4 * i64::from(point);
        } else {
            mantissa |= u64::from(digit != 0);
            shift += 4 * i64::from(!point);
        }
    }
    any.then(|| scaled(mantissa as f64, exponent.saturating_add(shift)))
}

/// An exponent; far beyond what any number needs, all are one.
fn power(text: &str) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 40);
    Some(if negative { -value } else { value })
}

/// `value` times 2 to the power of `exponent`.
fn scaled(mut value: f64, exponent: i64) -> f64 {
    let mut left = exponent.clamp(-2200, 2200);
    while left != 0 && value != 0.0 {
        let step = left.clamp(-1000, 1000);
        value *= 2f64.powi(step as i32);
        left -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        let cases = [
            ("0x1p-3", 0.125),
            ("-0x1.4p+3", -10.0),
            ("0x1.921fb54442d18p+1", std::f64::consts::PI),
            ("0x.8p0", 0.5),
            ("0xffp0", 255.0),
            ("0x10", 16.0),
            ("0x0p0", 0.0),
            ("1e-5", 0.00001),
            ("0.001302", 0.001302),
            ("+7", 7.0),
            ("65504", 65504.0),
            // a digit beyond the 53 bits, just above and exactly in the middle of two numbers
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p99999999999999999999", f64::INFINITY),
            ("0x0p99999999999999999999", 0.0),
            ("1e400", f64::INFINITY),
        ];
        for (text, value) in cases {
            assert_eq!(float(text), Some(value), "{text}");
        }
        assert!(float("-0.0").is_some_and(|v| v == 0.0 && v.is_sign_negative()));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in
            ["", "-", "--1", "1.2.3", "0x", "0x.", "0x1.2.3p0", "0x1p", "0x1p-", "0x1pz", "inf", "nan", "-inf", "1f", "1e", "e5"]
        {
            assert_eq!(float(text), None, "{text}");
        }
        for text in ["", "-", "1.0", "1e3", "0x", "0x-1", "--1", "-+1", "99999999999999999999999999999999999999999999"] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert_eq!(
            (integer("-12"), integer("0x10"), integer("18446744073709551615")),
            (Some(-12), Some(16), Some(u64::MAX.into()))
        );
    }
}
