//! The product of activations and stored weights: which way it goes, and how its rows are shared out.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::dots::{self, Inputs, Output};
use super::{Elements, Matrix, Quantised, Stored};
use crate::Cpu;
#[cfg(target_arch = "x86_64")]
use crate::Isa;
use crate::gemm::MatRef;
use crate::pool::Shareable;

/// Most rows of activations for which the weights are read in place, row by row.
pub const ROWS_MAX: usize = 8;
/// Bytes of weights that a task reads.
const TASK_BYTES: usize = 64 << 10;
/// Decoded elements of a panel of a large product: few enough for a second-level cache.
const PANEL: usize = 256 << 10;

/// The left side of products, `x[m, k]`, and the memory that they need.
pub struct Operand {
    quantised: Quantised,
    panel: Vec<f32>,
}

impl Operand {
    /// Memory for products with weights of up to `cols` columns in types of which `decoded` says whether any but f32 is
    /// among them.
    pub fn new(cols: usize, decoded: bool) -> Operand {
        let panel = if decoded { PANEL.max(cols) } else { 0 };
        Operand { quantised: Quantised::new(if decoded { ROWS_MAX } else { 0 }, cols), panel: vec![0.0; panel] }
    }

    /// `y[m, n] = x[m, k] w^T`: the rows of all `weights`, one matrix after the other, are the columns of `y`.
    ///
    /// # Panics
    /// When the weights differ in their columns, or a slice has another length than its shape.
    pub fn product(&mut self, cpu: &Cpu, y: &mut [f32], x: &[f32], weights: &[Matrix<'_>]) {
        let Some(k) = weights.first().map(Matrix::cols) else { return };
        let n: usize = weights.iter().map(Matrix::rows).sum();
        let m = x.len() / k;
        assert!(weights.iter().all(|w| w.cols() == k), "weights of one product differ in their columns");
        assert!(x.len() == m * k && y.len() == m * n, "a product of [{m}, {k}] and [{n}, {k}] with other slices");
        if m <= ROWS_MAX { self.few(cpu, y, x, weights, m) } else { self.many(cpu, y, x, weights, m, n) }
    }

    fn few(&mut self, cpu: &Cpu, y: &mut [f32], x: &[f32], weights: &[Matrix<'_>], m: usize) {
        let k = weights[0].cols();
        if weights.iter().any(|w| w.stored() == Stored::Q8_0) {
            self.quantised.set(cpu.isa(), x, k);
        }
        let inputs = Inputs { x, m, k, quantised: &self.quantised };
        let bytes: usize = weights.iter().map(Matrix::bytes).sum();
        let rows: usize = weights.iter().map(Matrix::rows).sum();
        // equal tasks, as many for each thread: which of them has a row changes nothing in it
        let tasks = bytes.div_ceil(TASK_BYTES).next_multiple_of(cpu.pool().threads());
        let per_task = rows.div_ceil(tasks.max(1)).max(1);
        let y = Output { data: Shareable::new(y.as_mut_ptr()), stride: rows };
        cpu.pool().run(rows.div_ceil(per_task), &|task| {
            let (start, end) = (task * per_task, ((task + 1) * per_task).min(rows));
            let mut first = 0;
            for w in weights {
                let (from, to) = (start.max(first), end.min(first + w.rows()));
                if from < to {
                    // SAFETY: columns `from..to` exist and belong to this task alone.
                    unsafe { dots::rows(cpu.isa(), w, from - first..to - first, &inputs, y.at_column(from)) };
                }
                first += w.rows();
            }
        });
    }

    fn many(&mut self, cpu: &Cpu, y: &mut [f32], x: &[f32], weights: &[Matrix<'_>], m: usize, n: usize) {
        #[cfg(target_arch = "x86_64")]
        if self.tiles(cpu, y, x, weights, m, n) {
            return;
        }
        let mut column = 0;
        for w in weights {
            let k = w.cols();
            let x = MatRef::new(x, m, k);
            if let Elements::F32(floats) = w.elements {
                cpu.gemm(&mut y[column..], n, x, MatRef::new(floats, w.rows(), k).t(), false);
                column += w.rows();
                continue;
            }
            if w.halves().is_some_and(|w| cpu.gemm_halves(&mut y[column..], n, x, (&w, true), false)) {
                column += w.rows();
                continue;
            }
            let rows = (PANEL / k).max(1);
            if self.panel.len() < rows * k {
                self.panel.resize(rows * k, 0.0);
            }
            for first in (0..w.rows()).step_by(rows) {
                let rows = rows.min(w.rows() - first);
                let panel = &mut self.panel[..rows * k];
                w.decode(cpu, first, panel);
                cpu.gemm(&mut y[column + first..], n, x, MatRef::new(panel, rows, k).t(), false);
            }
            column += w.rows();
        }
    }

    /// The product on tiles, where there are tiles and all weights are q8_0.
    #[cfg(target_arch = "x86_64")]
    fn tiles(&mut self, cpu: &Cpu, y: &mut [f32], x: &[f32], weights: &[Matrix<'_>], m: usize, n: usize) -> bool {
        if cpu.isa() != Isa::Amx || weights.iter().any(|w| w.stored() != Stored::Q8_0) {
            return false;
        }
        let k = weights[0].cols();
        let packed = amx::room(&mut self.panel, m, k);
        amx::pack(cpu, packed, x, k);
        let mut column = 0;
        for w in weights {
            let Elements::Q8_0(bytes) = w.elements else { return false };
            let data = Shareable::new(y.as_mut_ptr().wrapping_add(column));
            amx::product(cpu, amx::Target { data, stride: n, rows: m }, packed, bytes, w.rows(), k);
            column += w.rows();
        }
        true
    }
}
