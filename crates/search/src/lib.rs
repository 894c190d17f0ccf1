//! Hyperparameter search that does not climb noise: space, samplers, paired sequential verdicts, calibration, a journal that
//! Optuna reads and continues, and a git protocol that never touches the user's files.
//!
//! A trial is a configuration delta. Nothing here runs a trial: whoever does asks a [`Race`] what to run next and tells it
//! what came out. Nothing here prints.

pub mod calibration;
mod error;
pub mod git;
pub mod importance;
pub mod journal;
pub mod race;
mod rng;
pub mod samplers;
pub mod shape;
pub mod space;
pub mod stats;
pub mod study;

pub use error::SearchError;
pub use journal::Journal;
pub use race::{Race, Verdict};
pub use rng::Rng;
pub use shape::Shape;
pub use space::{Config, Param, Range, Space};
pub use study::Study;

#[cfg(test)]
mod tests;
