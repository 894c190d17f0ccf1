//! kernels

pub mod gemm;
pub mod pool;
