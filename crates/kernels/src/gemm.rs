//! The one door for matrix products: packed, blocked, with a micro-kernel per instruction set.
//!
//! Legend: c[m, n] = a[m, k] x b[k, n]. One operand is *broadcast* (read in place where its k runs along memory), the
//! other *packed* into panels as wide as the micro-kernel. The roles are exchanged, and c written transposed, where
//! that saves packing (few tokens against a large weight). Blocking after Goto and van de Geijn, "Anatomy of
//! High-Performance Matrix Multiplication" (2008).
//!
//! Every element of c is one chain of multiply-adds in ascending k, cut into blocks that depend on k alone: the result
//! has the same bits for any thread count.

use std::sync::{Mutex, PoisonError};

use crate::pool::Pool;

mod buffer;
mod drive;
mod gemv;
mod halves;
mod isa;
mod micro;
mod pack;

#[cfg(target_os = "macos")]
mod accelerate;
#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

pub use halves::Halves;
pub use isa::{Isa, UnknownIsa};

/// A matrix that is read: row-major storage, possibly seen transposed.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a> {
    /// The stored elements; row r begins at `r * stride`.
    pub data: &'a [f32],
    /// Rows, after transposition.
    pub rows: usize,
    /// Columns, after transposition.
    pub cols: usize,
    /// Elements from one stored row to the next.
    pub stride: usize,
    /// Whether element (i, j) is stored at `j * stride + i` rather than `i * stride + j`.
    pub transposed: bool,
}

impl<'a> MatRef<'a> {
    /// A dense matrix [rows, cols].
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A matrix [rows, cols] whose rows are `stride` elements apart.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        MatRef { data, rows, cols, stride, transposed: false }
    }

    /// The transposed view: [cols, rows].
    pub fn t(self) -> Self {
        MatRef { rows: self.cols, cols: self.rows, transposed: !self.transposed, ..self }
    }

    fn check(&self, name: &str) {
        let (rows, cols) = if self.transposed { (self.cols, self.rows) } else { (self.rows, self.cols) };
        check_extent(name, self.data.len(), rows, cols, self.stride);
    }
}

fn check_extent(name: &str, len: usize, rows: usize, cols: usize, stride: usize) {
    if rows > 0 && cols > 0 {
        assert!(stride >= cols, "gemm: {name} has rows of {cols} elements but stride {stride}");
        let need = (rows - 1) * stride + cols;
        assert!(len >= need, "gemm: {name} needs {need} elements for [{rows}, {cols}] with stride {stride}, has {len}");
    }
}

#[cfg(target_arch = "x86_64")]
const TILE_BYTES_MAX: usize = amx::BUFFER_BYTES_MAX;
#[cfg(not(target_arch = "x86_64"))]
const TILE_BYTES_MAX: usize = 0;

/// The processor: its threads, its instruction set, and the buffers that operands are packed into.
///
/// Buffers grow to what a product needs and are kept, so equal calls allocate once.
pub struct Cpu {
    pool: Pool,
    isa: Isa,
    buffers: Mutex<Buffers>,
}

/// What operands are packed into.
#[derive(Default)]
struct Buffers {
    vectors: drive::Buffers,
    #[cfg(target_arch = "x86_64")]
    tiles: amx::Buffers,
}

impl Buffers {
    fn bytes(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        return self.vectors.bytes() + self.tiles.bytes();
        #[cfg(not(target_arch = "x86_64"))]
        self.vectors.bytes()
    }
}

impl Cpu {
    /// Opens `threads` threads with the best instruction set of this machine.
    pub fn new(threads: usize) -> Cpu {
        Self::with_isa(threads, Isa::best())
    }

    /// Opens `threads` threads with `isa`, or the best available one where this machine lacks it.
    pub fn with_isa(threads: usize, isa: Isa) -> Cpu {
        let isa = if isa.is_available() { isa } else { Isa::best() };
        Cpu { pool: Pool::new(threads), isa, buffers: Mutex::default() }
    }

    /// The threads that kernels run on.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The instruction set of the matrix products.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes that the pack buffers hold now; they never exceed [`Cpu::PACK_BYTES_MAX`].
    pub fn pack_bytes(&self) -> usize {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).bytes()
    }

    /// Upper bound of [`Cpu::pack_bytes`].
    pub const PACK_BYTES_MAX: usize = drive::BUFFER_BYTES_MAX + TILE_BYTES_MAX;

    /// c = a x b, or c += a x b when `accumulate`: [m, k] x [k, n] -> [m, n], c row-major with rows `c_stride` apart.
    ///
    /// Uses all threads of the pool: call it from outside of tasks.
    ///
    /// # Panics
    /// When shapes disagree or a slice is too short for its shape.
    pub fn gemm(&self, c: &mut [f32], c_stride: usize, a: MatRef, b: MatRef, accumulate: bool) {
        assert_eq!(a.cols, b.rows, "gemm: a is [{}, {}] but b is [{}, {}]", a.rows, a.cols, b.rows, b.cols);
        a.check("a");
        b.check("b");
        check_extent("c", c.len(), a.rows, b.cols, c_stride);
        if a.rows == 0 || b.cols == 0 {
            return;
        }
        if a.cols == 0 {
            if !accumulate {
                c.chunks_mut(c_stride).take(a.rows).for_each(|row| row[..b.cols].fill(0.0));
            }
            return;
        }
        #[cfg(target_os = "macos")]
        if self.isa == Isa::Accelerate && accelerate::pays(a, b) {
            return accelerate::gemm(c, c_stride, a, b, accumulate);
        }
        if gemv::pays(a) {
            return gemv::gemv(&self.pool, self.isa, c, c_stride, a, b, accumulate);
        }
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(target_arch = "x86_64")]
        if self.isa == Isa::Amx && amx::pays(a.rows, b.cols, a.cols) {
            return amx::gemm(&self.pool, &mut buffers.tiles, c, c_stride, a, amx::Right::Floats(b), accumulate);
        }
        drive::gemm(&self.pool, self.isa.micro(), &mut buffers.vectors, c, c_stride, a, b, accumulate);
    }

    /// As [`Cpu::gemm`] by weights in bfloat16, `c = a W`, or `c = a W^T` where `transposed`, with the same bits as by their f32
    /// (weights that are no finite normal numbers aside). False where this machine has no tiles, or the product is too small for
    /// them: nothing was done, and the weights are to be widened.
    ///
    /// # Panics
    /// As [`Cpu::gemm`].
    pub fn gemm_halves(
        &self,
        c: &mut [f32],
        c_stride: usize,
        a: MatRef,
        (w, transposed): (&Halves<'_>, bool),
        accumulate: bool,
    ) -> bool {
        let (k, n) = if transposed { (w.cols(), w.rows()) } else { (w.rows(), w.cols()) };
        assert_eq!(a.cols, k, "gemm: a is [{}, {}] but W has {k} steps", a.rows, a.cols);
        a.check("a");
        check_extent("c", c.len(), a.rows, n, c_stride);
        #[cfg(target_arch = "x86_64")]
        if self.isa == Isa::Amx && !gemv::pays(a) && amx::pays(a.rows, n, k) {
            let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
            let rows = if transposed { amx::Rows::Columns } else { amx::Rows::Steps };
            amx::gemm(&self.pool, &mut buffers.tiles, c, c_stride, a, amx::Right::Halves(*w, rows), accumulate);
            return true;
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = accumulate;
        false
    }
}

#[cfg(test)]
mod tests;
