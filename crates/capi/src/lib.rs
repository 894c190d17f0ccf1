//! The C bridge: programs in MIL compiled and run from C, or from any language that calls C. `include/ane_bridge.h` is its
//! header; each function says there what it promises.
//!
//! Data are bytes in the types that the program declares, row-major, rows side by side: where the device pads them, the bridge
//! does. Any function may be called from any thread.

mod abi;
mod backend;
mod blob;
mod bridge;
mod error;
mod raw;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod weight_name;
