//! CPU arithmetic on slices: the one door for matrix products, and the elementwise kernels of a transformer with their
//! backward passes.
//!
//! Every result is independent of the number of threads: work is cut into pieces of a fixed size, and each sum has a
//! fixed order. Nothing here does I/O, reads the environment, or starts a thread that it was not asked for.

pub mod attention;
pub mod ceilings;
pub mod cross_entropy;
pub mod direction;
pub mod embedding;
pub mod gemm;
pub mod head_norm;
pub mod math;
pub mod noise;
pub mod pool;
pub mod rmsnorm;
pub mod rope;
mod scratch;
mod simd;
pub mod stored;
pub mod swiglu;

pub use gemm::{Cpu, Isa};
pub use pool::Pool;
