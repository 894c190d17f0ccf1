//! The kernels: for the shape of a block a checked program, what lies in its surfaces, and what its weight files hold.
//!
//! Every surface is `[1, channels, 1, width]` in fp16, a column a token. A pipeline has two sets of kernels: the published
//! ones, op by op but for their defects (rotation, its base, the order of shared key heads and the residual scale are the
//! model's), and ours, with fewer dispatches or fewer bytes. [`set()`] is the table of both.
//!
//! What fields are called, and where they are not what their name says, is in the tables of the modules; all of them:
//! activations `x`, `x2`, `xnorm`, `x2norm`, `attn` (mixed values), `act` (`silu(gate) up`), `q`, `k` (both rotated), `v`, `h1`
//! (gate), `h3` (up); gradients `dffn` and `dout` (of the branches), `dh1`, `dh3`, `da` (of the mixed values), `dq`, `dk`, `dv`,
//! `dy` (of a normed stream); results `out` (a branch before the residual scale), `x_next`, `gate` (as `act`), `dact`, `dx`
//! (gradient of a normed stream; of the stream itself where the kernel is the backward pass of a norm), `logits`, `y`.

mod attention;
pub mod dynamic;
pub mod dynamic_original;
pub mod extras;
pub mod fixed;
mod graph;
mod int8;
pub mod layers;
pub mod original;
mod parts;
mod ports;
pub mod products;
mod set;
pub mod weights;

pub use set::{Counts, KernelSet, Usage, set};
