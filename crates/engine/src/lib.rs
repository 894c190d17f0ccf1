//! The transformer: forward and backward pass, decoding with a cache, and the initial weights.
//!
//! [`Walk`] runs blocks over flat parameters; activations and scratch are sized once, when it is opened, and a step allocates
//! nothing. Where a block runs is the trait [`blocks::Blocks`], whose default bodies are the CPU's: [`CpuEngine`] is the walk
//! that takes them all. The reading order is [`blocks`], [`Walk`], then `forward`, then `backward`.

mod adapted;
mod adapting;
mod backward;
mod batch;
pub mod blocks;
mod check;
mod classifier;
mod decode;
mod depths;
mod dora;
mod engine;
mod error;
mod forward;
mod frozen;
mod goodness;
mod gradient;
mod init;
mod objective;
mod params;
mod probe;
mod sampling;
mod seen;
mod side_by_side;
mod sizes;
mod walk;
mod weights;

pub use adapted::AdapterPlan;
pub use adapting::{Adapting, init_adapter};
pub use batch::{Batch, IGNORE, LossSum};
pub use blocks::Projection;
pub use decode::{DecodeWeights, Decoder};
pub use engine::{DeviceReport, Engine, Ready};
pub use error::EngineError;
pub use frozen::{Base, BaseWeights, Frozen};
pub use goodness::Goodness;
pub use init::init;
pub use objective::{Objective, answers};
pub use params::{Params, Place};
pub use probe::{DIRECTION_TILE, Direction, Probe, probing_bytes};
pub use sampling::{Sampler, SamplingConfig};
pub use seen::See;
pub use sizes::Sizes;
pub use walk::{CpuEngine, Options, Shape, Walk};
