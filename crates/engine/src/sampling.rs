//! From logits to the next token: greedy, temperature, top-k, top-p, min-p, repetition penalty.

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
    /// Positive logits of recent tokens are divided by it, negative ones multiplied (Keskar et al., arXiv 1909.05858); 1
    /// leaves them.
    pub repetition_penalty: f32,
    /// Recent tokens that the penalty counts; 0: all.
    pub penalty_window: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        SamplingConfig {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            penalty_window: 64,
            seed: 42,
        }
    }
}

/// Candidates that are put in order at first: most nuclei are smaller.
const HEAD: usize = 256;

/// Draws tokens; draw `i` depends on the seed, `i`, the logits and, with a penalty, the tokens before.
pub struct Sampler {
    config: SamplingConfig,
    noise: Philox,
    draws: u64,
    candidates: Vec<(f32, u32)>,
    /// Kept only for the penalty.
    history: Vec<u32>,
    recent: Vec<u32>,
}

impl Sampler {
    /// A sampler at its first draw.
    pub fn new(config: SamplingConfig) -> Sampler {
        let noise = Philox::new(config.seed, PURPOSE);
        Sampler { config, noise, draws: 0, candidates: Vec::new(), history: Vec::new(), recent: Vec::new() }
    }

    /// Takes tokens that were not drawn, such as a prompt: the penalty counts them.
    pub fn observe(&mut self, tokens: &[u32]) {
        if self.config.repetition_penalty != 1.0 {
            self.history.extend_from_slice(tokens);
        }
    }

    /// The next token for `logits[vocab]`; ids for which `allowed` is false are never drawn.
    pub fn next(&mut self, logits: &[f32], allowed: impl Fn(u32) -> bool) -> u32 {
        self.candidates.clear();
        self.candidates.extend(logits.iter().zip(0u32..).filter(|(_, id)| allowed(*id)).map(|(&z, id)| (z, id)));
        self.penalise();
        let id = self.draw();
        self.observe(&[id]);
        id
    }

    fn penalise(&mut self) {
        let (penalty, window) = (self.config.repetition_penalty, self.config.penalty_window);
        if penalty == 1.0 {
            return;
        }
        let first = if window == 0 { 0 } else { self.history.len().saturating_sub(window) };
        self.recent.clear();
        self.recent.extend_from_slice(&self.history[first..]);
        self.recent.sort_unstable();
        self.recent.dedup();
        for id in &self.recent {
            if let Ok(at) = self.candidates.binary_search_by_key(id, |c| c.1) {
                let z = &mut self.candidates[at].0;
                *z = if *z > 0.0 { *z / penalty } else { *z * penalty };
            }
        }
    }

    fn draw(&mut self) -> u32 {
        let (c, config) = (&mut self.candidates, &self.config);
        let Some(&(best, first)) = c.iter().min_by(|a, b| likelier(a, b)) else { return 0 };
        if config.temperature <= 0.0 {
            return first;
        }
        if config.top_k > 0 && config.top_k < c.len() {
            c.select_nth_unstable_by(config.top_k, likelier);
            c.truncate(config.top_k);
            c.sort_unstable_by(likelier);
        }
        for (z, _) in c.iter_mut() {
            *z = ((*z - best) / config.temperature).exp();
        }
        c.retain(|(p, _)| *p >= config.min_p);
        if config.top_p < 1.0 {
            keep_nucleus(c, config.top_p);
        }
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

/// Equal ones: the lower id first, so that the order is total.
fn likelier(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Keeps the likeliest that together reach the share `top_p`, in order. Only as many are sorted as that takes.
fn keep_nucleus(c: &mut Vec<(f32, u32)>, top_p: f32) {
    let goal = top_p * c.iter().map(|(p, _)| p).sum::<f32>();
    let mut head = HEAD;
    loop {
        let all = head >= c.len();
        if !all {
            c.select_nth_unstable_by(head, likelier);
        }
        let end = head.min(c.len());
        c[..end].sort_unstable_by(likelier);
        let mut sum = 0.0;
        let reached = c[..end].iter().position(|(p, _)| {
            sum += p;
            sum >= goal
        });
        match reached {
            Some(i) => return c.truncate(i + 1),
            None if all => return,
            None => head *= 8,
        }
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

    /// The short way to the nucleus keeps what sorting everything keeps.
    #[test]
    fn a_nucleus_is_that_of_the_whole_order() {
        let mut all: Vec<(f32, u32)> = (0..5000u32).map(|i| (((i * 7919 % 5003) as f32 * -2e-3).exp(), i)).collect();
        for top_p in [0.1, 0.9, 0.999] {
            let mut kept = all.clone();
            keep_nucleus(&mut kept, top_p);
            all.sort_unstable_by(likelier);
            let total: f32 = all.iter().map(|(p, _)| p).sum();
            let mut sum = 0.0;
            let goes_on = |(p, _): &&(f32, u32)| {
                let before = sum;
                sum += p;
                before < top_p * total
            };
            let count = all.iter().take_while(goes_on).count();
            assert!(kept.len().abs_diff(count) <= 1, "{top_p}: {} kept, {count} in order", kept.len());
            assert_eq!(kept, all[..kept.len()]);
        }
    }

    #[test]
    fn recent_tokens_are_penalised_and_forgotten() {
        let config = SamplingConfig { temperature: 0.0, repetition_penalty: 2.0, penalty_window: 2, ..Default::default() };
        let mut sampler = Sampler::new(config);
        sampler.observe(&[1]);
        let logits = [-3.0, 4.0, 3.0, -1.0];
        let drawn: Vec<u32> = (0..5).map(|_| sampler.next(&logits, |_| true)).collect();
        // 1 is at 2.0 at first; then 2 at 1.5 against 1 at 2.0; then 1 is recent twice, and 2 is forgotten
        assert_eq!(drawn, [2, 1, 1, 2, 1]);
        let negative = Sampler::new(SamplingConfig { penalty_window: 0, ..config });
        let mut sampler = negative;
        sampler.observe(&[0]);
        assert_eq!(sampler.next(&[-1.0, -1.5], |_| true), 1, "a negative logit falls too");
    }

    #[test]
    fn forbidden_ids_are_never_drawn() {
        let mut sampler = Sampler::new(SamplingConfig::default());
        assert!((0..500).all(|_| sampler.next(&[5.0, 0.0, 0.0], |id| id != 0) != 0));
    }
}
