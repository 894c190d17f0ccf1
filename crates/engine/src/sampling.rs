//! From logits to the next token: greedy, temperature, top-k, top-p, min-p.

use kernels::noise::Philox;

/// Purpose of the noise stream of sampling.
const PURPOSE: u64 = 0x7361_6d70;

/// How to choose; the default samples from the model's own distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingConfig {
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest tokens that together reach this probability.
    pub top_p: f32,
    /// Drop tokens less likely than this share of the likeliest.
    pub min_p: f32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        SamplingConfig { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 42 }
    }
}

/// Draws tokens; draw `i` depends on the seed, `i` and the logits alone.
pub struct Sampler {
    config: SamplingConfig,
    noise: Philox,
    draws: u64,
    candidates: Vec<(f32, u32)>,
}

impl Sampler {
    /// A sampler at its first draw.
    pub fn new(config: SamplingConfig) -> Sampler {
        Sampler { config, noise: Philox::new(config.seed, PURPOSE), draws: 0, candidates: Vec::new() }
    }

    /// The next token for `logits[vocab]`; ids for which `allowed` is false are never drawn.
    pub fn next(&mut self, logits: &[f32], allowed: impl Fn(u32) -> bool) -> u32 {
        let c = &mut self.candidates;
        c.clear();
        c.extend(logits.iter().zip(0u32..).filter(|(_, id)| allowed(*id)).map(|(&z, id)| (z, id)));
        // equal logits: the lower id first, so that the order is total
        let likelier = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let Some(&(best, first)) = c.iter().min_by(|a, b| likelier(a, b)) else { return 0 };
        if self.config.temperature <= 0.0 {
            return first;
        }
        let k = self.config.top_k;
        if k > 0 && k < c.len() {
            c.select_nth_unstable_by(k, likelier);
            c.truncate(k);
        }
        c.sort_unstable_by(likelier);
        for (z, _) in c.iter_mut() {
            *z = ((*z - best) / self.config.temperature).exp();
        }
        c.retain(|(p, _)| *p >= self.config.min_p);
        let total: f32 = c.iter().map(|(p, _)| p).sum();
        let mut sum = 0.0;
        let nucleus = c.iter().position(|(p, _)| {
            sum += p;
            sum >= self.config.top_p * total
        });
        c.truncate(nucleus.map_or(c.len(), |i| i + 1));
        let kept: f32 = c.iter().map(|(p, _)| p).sum();
        let mut at = self.noise.uniform(self.draws) * kept;
        self.draws += 1;
        for &(p, id) in c.iter() {
            at -= p;
            if at < 0.0 {
                return id;
            }
        }
        c.last().map_or(first, |c| c.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(config: SamplingConfig, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(config);
        (0..2000).map(|_| sampler.next(logits, |_| true)).collect()
    }

    #[test]
    fn greedy_takes_the_best_and_the_lower_id_of_equals() {
        let config = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
        assert_eq!(draws(config, &[0.0, 3.0, 3.0, 1.0])[0], 1);
    }

    #[test]
    fn frequencies_follow_the_distribution() {
        let drawn = draws(SamplingConfig::default(), &[0.0, (3.0f32).ln()]);
        let ones = drawn.iter().filter(|&&t| t == 1).count() as f64 / drawn.len() as f64;
        assert!((ones - 0.75).abs() < 0.03, "{ones}");
    }

    #[test]
    fn filters_keep_what_they_say() {
        let logits = [(0.5f32).ln(), (0.3f32).ln(), (0.15f32).ln(), (0.05f32).ln()];
        let only = |config| draws(config, &logits).into_iter().max();
        let base = SamplingConfig::default();
        assert_eq!(only(SamplingConfig { top_k: 2, ..base }), Some(1));
        assert_eq!(only(SamplingConfig { top_p: 0.79, ..base }), Some(1));
        assert_eq!(only(SamplingConfig { min_p: 0.25, ..base }), Some(2));
        assert_eq!(only(base), Some(3));
    }

    #[test]
    fn forbidden_ids_are_never_drawn() {
        let mut sampler = Sampler::new(SamplingConfig::default());
        assert!((0..500).all(|_| sampler.next(&[5.0, 0.0, 0.0], |id| id != 0) != 0));
    }
}
