//! The built-in corpus (stub).
/// Generator of stories.
#[derive(Debug, Clone, Copy)]
pub struct Stories { seed: u64 }
/// Changes whenever any story changes.
pub const VERSION: u32 = 1;
impl Stories {
    /// A generator.
    pub fn new(seed: u64) -> Self { Self { seed } }
    /// Appends story `i` to `out`.
    pub fn write(&self, i: u64, out: &mut String) {
        let mut d = crate::rng::Draws::new(self.seed, i);
        for _ in 0..8 { out.push_str(d.pick(&["Tom ran to the park.", " Sue had a dog.", " \"Hi,\" said Ben."])); }
    }
}
