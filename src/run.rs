//! A training run: its folder, its checkpoints, and its place in the world.

mod checkpoint;
mod folder;
mod host;
mod manners;
mod relay;
mod report;
mod restart;
mod silence;
mod switch;
mod tracker;

pub use checkpoint::{Files, SavedState, read_state};
pub use folder::RunFolder;
pub use host::{RunHost, Shown, TRAJECTORY};
pub use manners::Manners;
pub use relay::Relay;
pub use report::{Predicted, efficiency, flops_of, summary};
pub use restart::restart;
