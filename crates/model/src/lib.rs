//! The description of a model: what it is, where each weight lies, what it costs.
//!
//! Nothing here computes a forward pass, opens a file or starts a thread. [`ModelSpec`] stores only what cannot be
//! derived; [`Layout`] is the one place that knows the order of the weights in the flat parameter array.

mod adapter;
mod cost;
mod layout;
mod presets;
mod rope;
mod spec;

pub use adapter::{AdapterForm, AdapterSpec, AdapterTarget, Half};
pub use cost::{Flops, MemoryModel, flops_per_token};
pub use layout::{Layout, Part, Role, TensorId, TensorInfo};
pub use presets::{LADDER, Preset, preset, presets};
pub use rope::{Rope, RopeScaling};
pub use spec::{Family, ModelSpec, SlidingWindow, SpecError};
