//! A permutation of `0..n` without a table: a Feistel network over the next even power of two, walked until it lands
//! inside (Black and Rogaway 2002).

use crate::rng::mix2;

const ROUNDS: u64 = 6;

/// Where `index` goes in the permutation of `0..n` keyed by `key`; `index < n`.
pub(super) fn permute(index: u64, n: u64, key: u64) -> u64 {
    let bits = 64 - n.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mut x = index;
    loop {
        let (mut left, mut right) = (x >> half, x & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (mix2(key.wrapping_add(round), right) & mask));
        }
        x = left << half | right;
        if x < n {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_permutation_of_every_size() {
        for n in [1u64, 2, 3, 5, 16, 17, 100, 1023, 4097] {
            let mut seen = vec![false; n as usize];
            for i in 0..n {
                let to = permute(i, n, 7) as usize;
                assert!(!seen[to], "{n}: {to} twice");
                seen[to] = true;
            }
        }
    }

    #[test]
    fn keys_differ_and_order_is_mixed() {
        let a: Vec<u64> = (0..1000).map(|i| permute(i, 1000, 1)).collect();
        let b: Vec<u64> = (0..1000).map(|i| permute(i, 1000, 2)).collect();
        let fixed = |p: &[u64]| p.iter().enumerate().filter(|&(i, &x)| i as u64 == x).count();
        assert!(fixed(&a) < 10 && fixed(&b) < 10);
        assert!(a.iter().zip(&b).filter(|(x, y)| x == y).count() < 10);
        let neighbours = a.windows(2).filter(|w| w[0] + 1 == w[1]).count();
        assert!(neighbours < 10, "{neighbours}");
    }
}
