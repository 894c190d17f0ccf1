//! The transformer: forward and backward pass, decoding with a cache, and the initial weights.
//!
//! [`CpuEngine`] runs the blocks of `kernels` over flat parameters; activations and scratch are sized once, when it is
//! opened, and a step allocates nothing. The reading order is [`engine`](CpuEngine), then `forward`, then `backward`.

mod backward;
mod batch;
mod classifier;
mod decode;
mod engine;
mod forward;
mod init;
mod sampling;
mod sizes;
mod weights;

pub use batch::{Batch, IGNORE, LossSum};
pub use decode::{DecodeWeights, Decoder};
pub use engine::{CpuEngine, EngineError, Options, Shape};
pub use init::init;
pub use sampling::{Sampler, SamplingConfig};
pub use sizes::Sizes;
