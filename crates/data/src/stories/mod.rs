//! The built-in corpus: simple English children's stories, made from word lists, sentence templates and plots.
//!
//! Story `i` of a seed is a pure function of `(seed, i)`, so any part of the corpus can be made on any thread. A story
//! is a plot: a list of beats, each a choice among templates; a template has alternatives and slots, see [`template`].

mod cast;
mod plots;
mod plots_more;
mod shared;
mod template;
mod words;

use crate::rng::Draws;
use cast::Cast;
use template::Writer;

/// Part of the cache key of prepared data: raise it whenever any story changes.
pub const VERSION: u32 = 1;

/// One beat: one of these templates is told. A name with `@` stands for a shared beat.
type Beat = &'static [&'static str];
/// A plot: its beats in order.
type Plot = &'static [Beat];

/// The generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stories {
    seed: u64,
}

impl Stories {
    /// The corpus of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Appends story `i` to `out`: some paragraphs of about 100 to 250 words in all, separated by blank lines, without
    /// a line break at the end.
    pub fn write(&self, i: u64, out: &mut String) {
        let mut draws = Draws::new(self.seed, i);
        let cast = Cast::draw(&mut draws);
        let plots = plots::PLOTS.len() + plots_more::PLOTS.len();
        let number = draws.below(plots);
        let plot = plots::PLOTS.get(number).unwrap_or_else(|| &plots_more::PLOTS[number - plots::PLOTS.len()]);
        let mut writer = Writer::new(out, &cast, &mut draws);
        for beat in *plot {
            writer.beat(beat);
        }
    }

    /// Story `i`.
    pub fn story(&self, i: u64) -> String {
        let mut out = String::with_capacity(1500);
        self.write(i, &mut out);
        out
    }
}

#[cfg(test)]
mod tests;
