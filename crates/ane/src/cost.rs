//! What a step costs: dispatches, bytes, compiles and arithmetic counted from the kernels, and a prediction of its time.
//!
//! A dispatch takes
//! `floor + sum over products of max(flops / peak, baked weights / stream) + activations / surface + packed weights / packed`,
//! and beside the dispatches the host copies activations, multiplies matrices and passes over elements, each at a rate of its
//! chip. The rates are fitted to what others published ([`published`]); `docs/ane-cost.md` lists every figure with its
//! prediction. Figures of other people's programs on other people's machines: an estimate, and no measurement of ours.

mod call;
mod fit;
mod host;
mod machine;
mod page;
mod predict;
mod profile;
pub mod published;
#[cfg(test)]
mod tests;
mod totals;

pub use call::{Call, calls};
pub use fit::{Fit, fit};
pub use host::{HostWork, Method};
pub use machine::{Machine, Variant};
pub use page::{median_step_error, page};
pub use predict::{Conv, Step, conv_ms, step};
pub use profile::{CONSTANTS, Constants, EngineRates};
pub use totals::Totals;
