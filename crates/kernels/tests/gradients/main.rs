//! Every kernel against its formula in f64, every backward pass against central finite differences of that formula.
//!
//! Widths are odd and rows cross the pieces that kernels cut their work into; each case runs on every instruction set of
//! the machine, and gives the same bits on one, two and three threads.
#![allow(clippy::unwrap_used)]

mod check;
mod cross_entropy;
mod elementwise;
mod head_norm;
mod linear;
mod rmsnorm;
mod rope;
