//! Blocks of a product, shared out to threads.
//!
//! The packed operand is packed once by all threads (at most [`RHS_MAX`] floats at a time); then tasks of a few panels
//! of columns (kept in a core's second-level cache) by a few panels of rows are claimed as threads come free.
#![allow(unsafe_code)]

use super::MatRef;
use super::buffer::Buffer;
use super::micro::{Micro, Tile};
use super::pack::{Block, Operand, Panels};
use crate::pool::{Pool, Shareable};

/// Floats that are packed at a time of each operand, and steps of k.
const RHS_MAX: usize = 2 << 20;
const LHS_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 4096;
/// Wide enough for the padding of a last panel at full depth.
const SLACK: usize = 64 * (DEPTH_MAX + 1024);
/// See [`super::Cpu::PACK_BYTES_MAX`].
pub(super) const BUFFER_BYTES_MAX: usize = 4 * (RHS_MAX + LHS_MAX + 2 * SLACK);
/// Tasks a thread should find in a product, so that a late thread does not hold up the end.
const TASKS_PER_THREAD: usize = 6;
/// Row panels of a task: few enough that its part of c stays in the second-level cache between blocks of k.
const ROW_PANELS: (usize, usize) = (4, 40);

/// What operands are packed into.
#[derive(Default)]
pub(super) struct Buffers {
    lhs: Buffer,
    rhs: Buffer,
}

impl Buffers {
    pub(super) fn bytes(&self) -> usize {
        self.lhs.bytes() + self.rhs.bytes()
    }
}

/// The blocks of k of one pass: `total` steps from `start`, `depth` at a time.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    start: usize,
    total: usize,
    depth: usize,
}

impl Blocks {
    pub(super) fn count(&self) -> usize {
        self.total.div_ceil(self.depth)
    }

    pub(super) fn block(&self, index: usize) -> Block {
        let offset = index * self.depth;
        Block { start: self.start + offset, offset, depth: self.depth.min(self.total - offset) }
    }
}

/// c[m, n], possibly written transposed.
#[derive(Clone, Copy)]
struct Target {
    data: Shareable<f32>,
    stride: usize,
    transposed: bool,
    accumulate: bool,
}

struct Product<'a> {
    pool: &'a Pool,
    micro: &'static Micro,
    lhs: Operand,
    rhs: Operand,
    target: Target,
}

/// c = a x b (+ c) by the blocked kernel; shapes and extents have been checked, none is 0.
#[allow(clippy::too_many_arguments)]
pub(super) fn gemm(
    pool: &Pool,
    micro: &'static Micro,
    buffers: &mut Buffers,
    c: &mut [f32],
    c_stride: usize,
    a: MatRef,
    b: MatRef,
    accumulate: bool,
) {
    let (rows, columns) = (Operand::rows_of(a), Operand::columns_of(b));
    let k = a.cols;
    let depth = k.div_ceil(k.div_ceil(micro.depth)).next_multiple_of(4);
    let transposed = cost(columns, rows, depth, true) < cost(rows, columns, depth, false);
    let (lhs, rhs) = if transposed { (columns, rows) } else { (rows, columns) };
    let target = Target { data: Shareable::new(c.as_mut_ptr()), stride: c_stride, transposed, accumulate };
    Product { pool, micro, lhs, rhs, target }.run(buffers, k, depth);
}

/// What a choice of roles spends beside the multiply-adds, in units of one copied vector of length k.
fn cost(lhs: Operand, rhs: Operand, depth: usize, transposed: bool) -> f64 {
    let lhs_pack = if lhs.along { 0.0 } else { lhs.len as f64 };
    let rhs_pack = rhs.len as f64 * if rhs.along { 2.5 } else { 1.0 };
    let stores = if transposed { (lhs.len * rhs.len) as f64 / depth as f64 } else { 0.0 };
    lhs_pack + rhs_pack + stores
}

impl Product<'_> {
    fn run(&self, buffers: &mut Buffers, k: usize, depth: usize) {
        let pass = (DEPTH_MAX / depth * depth).min(k.next_multiple_of(depth));
        let columns = part(self.rhs.len, RHS_MAX / pass, self.micro.cols);
        let rows = if self.lhs.along { self.lhs.len } else { part(self.lhs.len, LHS_MAX / pass, self.micro.rows) };
        let rhs = buffers.rhs.at_least(columns.next_multiple_of(self.micro.cols) * pass);
        let lhs_len = if self.lhs.along { 0 } else { rows.next_multiple_of(self.micro.rows) * pass };
        let lhs = buffers.lhs.at_least(lhs_len);
        for j in (0..self.rhs.len).step_by(columns) {
            for start in (0..k).step_by(pass) {
                let blocks = Blocks { start, total: pass.min(k - start), depth };
                let rhs = Panels::packed(self.micro, self.rhs, rhs, j, columns.min(self.rhs.len - j));
                for i in (0..self.lhs.len).step_by(rows) {
                    let lhs = Panels::broadcast(self.micro, self.lhs, lhs, i, rows.min(self.lhs.len - i));
                    self.pack(&blocks, &lhs, &rhs, i == 0);
                    self.compute(&blocks, &lhs, &rhs);
                }
            }
        }
    }

    fn pack(&self, blocks: &Blocks, lhs: &Panels, rhs: &Panels, rhs_too: bool) {
        let of_rhs = if rhs_too { rhs.tasks(blocks.count()) } else { 0 };
        let of_lhs = if self.lhs.along { 0 } else { lhs.tasks(blocks.count()) };
        self.pool.run(of_rhs + of_lhs, &|task| {
            // SAFETY: each task is run once, and the buffers hold the parts.
            unsafe { if task < of_rhs { rhs.pack(task, blocks) } else { lhs.pack(task - of_rhs, blocks) } }
        });
    }

    fn compute(&self, blocks: &Blocks, lhs: &Panels, rhs: &Panels) {
        let in_cache = (self.micro.cache / (blocks.depth * self.micro.cols)).max(1);
        let column_tasks = rhs.count().div_ceil(in_cache);
        let columns = rhs.count().div_ceil(column_tasks);
        let row_tasks = (TASKS_PER_THREAD * self.pool.threads()).div_ceil(column_tasks);
        let rows = lhs.count().div_ceil(row_tasks).clamp(ROW_PANELS.0, ROW_PANELS.1);
        let row_tasks = lhs.count().div_ceil(rows);
        self.pool.run(rhs.count().div_ceil(columns) * row_tasks, &|task| {
            let (j, i) = (task / row_tasks * columns, task % row_tasks * rows);
            let (j_end, i_end) = ((j + columns).min(rhs.count()), (i + rows).min(lhs.count()));
            for block in (0..blocks.count()).map(|b| blocks.block(b)) {
                for i in i..i_end {
                    for j in j..j_end {
                        // SAFETY: the tile is within c, no other task has it, and its panels are packed.
                        unsafe { self.tile(lhs, rhs, i, j, block) }
                    }
                }
            }
        });
    }

    #[inline]
    unsafe fn tile(&self, lhs: &Panels, rhs: &Panels, i: usize, j: usize, block: Block) {
        let (row, col) = (i * lhs.width, j * rhs.width);
        let (c_row, c_col) = if self.target.transposed { (1, self.target.stride) } else { (self.target.stride, 1) };
        // SAFETY: the caller's promise.
        unsafe {
            let (data, lhs_row, lhs_step) = if self.lhs.along {
                (self.lhs.at(lhs.start + row, block.start), self.lhs.stride, 1)
            } else {
                (lhs.panel(i, block).cast_const(), 1, lhs.width)
            };
            (self.micro.tile)(&Tile {
                depth: block.depth,
                lhs: data,
                lhs_row,
                lhs_step,
                rhs: rhs.panel(j, block),
                c: self.target.data.get().add((lhs.start + row) * c_row + (rhs.start + col) * c_col),
                c_row: self.target.stride,
                rows: (lhs.len - row).min(lhs.width),
                cols: (rhs.len - col).min(rhs.width),
                transposed: self.target.transposed,
                accumulate: self.target.accumulate || block.start > 0,
            });
        }
    }
}

/// Cuts `len` into equal parts of whole panels of `width`, each at most `limit` long (or one panel).
fn part(len: usize, limit: usize, width: usize) -> usize {
    let most = (limit / width).max(1);
    let panels = len.div_ceil(width);
    panels.div_ceil(panels.div_ceil(most)) * width
}
