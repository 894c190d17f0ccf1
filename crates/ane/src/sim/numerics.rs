//! In which arithmetic programs are interpreted.

use std::sync::Arc;

use kernels::Cpu;
use kernels::gemm::MatRef;
use mil::{Chip, Numerics, Product};

/// In which arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// Every operation in f32, its result rounded to its type: what programs mean.
    #[default]
    Exact,
    /// What was measured on the engine of the chip: tiles, saturation, tables. Much slower.
    Engine,
    /// f64, never rounded between operations: what tolerances are measured against.
    Oracle,
}

/// The interpreter's profile for `arithmetic` on `chip`; exact products run on the kernels of `cpu`.
pub fn numerics(arithmetic: Arithmetic, chip: Chip, cpu: Arc<Cpu>) -> Numerics {
    match arithmetic {
        Arithmetic::Exact => Numerics::exact().with_matmul(Arc::new(move |p: &Product, a: &[f32], b: &[f32], c: &mut [f32]| {
            let matrix = |data, rows, cols, transposed: bool| {
                if transposed { MatRef::new(data, cols, rows).t() } else { MatRef::new(data, rows, cols) }
            };
            cpu.gemm(c, p.n, matrix(a, p.m, p.k, p.transpose_a), matrix(b, p.k, p.n, p.transpose_b), false);
        })),
        Arithmetic::Engine => Numerics::ane(chip),
        Arithmetic::Oracle => Numerics::oracle(),
    }
}
