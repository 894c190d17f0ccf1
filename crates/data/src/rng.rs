//! Counter-based randomness: a draw is a hash of its coordinates, so no draw depends on how many were made before
//! it, on threads or on chunks. The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).

/// Mixes 64 bits; a bijection.
pub(crate) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Hash of two coordinates.
pub(crate) fn mix2(a: u64, b: u64) -> u64 {
    mix(mix(a) ^ b.wrapping_mul(0xD6E8_FEB8_6659_FD93))
}

/// The draws of one story: `hash(seed, story, draw)`.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    key: u64,
    count: u64,
}

impl Draws {
    pub(crate) fn new(seed: u64, story: u64) -> Self {
        Self { key: mix2(seed, story), count: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.count += 1;
        mix(self.key.wrapping_add(self.count.wrapping_mul(0xA076_1D64_78BD_642F)))
    }

    /// Uniform in `0..n` (`n > 0`), by the multiply-high reduction; its bias of `n / 2^64` is of no concern here.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// True in `percent` of 100 draws.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One item; the slice must not be empty.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_a_pure_function_and_spread() {
        let (mut a, mut b) = (Draws::new(1, 2), Draws::new(1, 2));
        let mut seen = [0usize; 10];
        for _ in 0..10_000 {
            let x = a.below(10);
            assert_eq!(x, b.below(10));
            seen[x] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_ne!(Draws::new(1, 2).next(), Draws::new(2, 1).next());
    }
}
