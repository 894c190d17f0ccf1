//! Operands as the micro-kernel sees them, and their packing into panels.
#![allow(unsafe_code)]

use super::micro::Micro;
use super::{MatRef, drive::Blocks};
use crate::pool::Shareable;

/// Steps of k that are copied at a time.
const STEPS: usize = 16;
/// Elements of a source row that one task copies: most of the first-level cache over `STEPS` rows.
const ROW: usize = 256;

/// One operand as `len` vectors of length k: the rows of a, or the columns of b.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub data: Shareable<f32>,
    pub stride: usize,
    /// Whether k runs along memory: element (i, k) is at `i * stride + k` rather than `k * stride + i`.
    pub along: bool,
    pub len: usize,
}

impl Operand {
    pub(super) fn rows_of(a: MatRef) -> Self {
        Operand { data: Shareable::new(a.data.as_ptr().cast_mut()), stride: a.stride, along: !a.transposed, len: a.rows }
    }

    pub(super) fn columns_of(b: MatRef) -> Self {
        Self::rows_of(b.t())
    }

    /// # Safety
    /// (i, k) is within the operand.
    pub(super) unsafe fn at(&self, i: usize, k: usize) -> *const f32 {
        let offset = if self.along { i * self.stride + k } else { k * self.stride + i };
        // SAFETY: the caller's promise.
        unsafe { self.data.get().add(offset) }
    }
}

/// Where a part of an operand is packed to: blocks of k, each a row of panels [depth, width].
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub operand: Operand,
    pub target: Shareable<f32>,
    /// First vector of the part, and how many.
    pub start: usize,
    pub len: usize,
    pub width: usize,
    copy: unsafe fn(*const f32, usize, usize, *mut f32),
    transpose: unsafe fn(*const f32, usize, usize, usize, *mut f32),
}

impl Panels {
    /// Panels of the broadcast operand; only for one whose k does not run along memory.
    pub(super) fn broadcast(micro: &Micro, operand: Operand, target: *mut f32, start: usize, len: usize) -> Self {
        let (copy, transpose) = (micro.copy_rows, micro.pack_transposed);
        Panels { operand, target: Shareable::new(target), start, len, width: micro.rows, copy, transpose }
    }

    /// Panels of the packed operand.
    pub(super) fn packed(micro: &Micro, operand: Operand, target: *mut f32, start: usize, len: usize) -> Self {
        let (copy, transpose) = (micro.copy_cols, micro.pack_transposed);
        Panels { operand, target: Shareable::new(target), start, len, width: micro.cols, copy, transpose }
    }

    pub(super) fn count(&self) -> usize {
        self.len.div_ceil(self.width)
    }

    /// Panels that one task packs.
    fn group(&self) -> usize {
        (ROW / self.width).max(1)
    }

    /// Tasks that pack this part over `blocks` blocks of k.
    pub(super) fn tasks(&self, blocks: usize) -> usize {
        self.count().div_ceil(self.group()) * blocks
    }

    /// Panel `p` of a block of k.
    ///
    /// # Safety
    /// The panel and the block are within the part.
    pub(super) unsafe fn panel(&self, p: usize, block: Block) -> *mut f32 {
        let offset = block.offset * self.count() * self.width + p * self.width * block.depth;
        // SAFETY: the caller's promise; the target was sized for all panels of all blocks.
        unsafe { self.target.get().add(offset) }
    }

    /// Runs packing task `task`.
    ///
    /// # Safety
    /// `task < self.tasks(..)`, the target holds the part, and no other thread runs this task.
    pub(super) unsafe fn pack(&self, task: usize, blocks: &Blocks) {
        let groups = self.count().div_ceil(self.group());
        let block = blocks.block(task / groups);
        let first = task % groups * self.group();
        let last = (first + self.group()).min(self.count());
        // SAFETY: panels `first..last` are this task's alone.
        unsafe { if self.operand.along { self.turn(first, last, block) } else { self.copy(first, last, block) } }
    }

    unsafe fn turn(&self, first: usize, last: usize, block: Block) {
        for p in first..last {
            let cols = (self.len - p * self.width).min(self.width);
            // SAFETY: `cols` vectors from `start + p * width` lie within the operand.
            unsafe {
                let source = self.operand.at(self.start + p * self.width, block.start);
                (self.transpose)(source, self.operand.stride, cols, block.depth, self.panel(p, block));
            }
        }
    }

    /// A few steps at a time of all panels: each source row is read along, and few pages are open at once.
    unsafe fn copy(&self, first: usize, last: usize, block: Block) {
        for step in (0..block.depth).step_by(STEPS) {
            for p in first..last {
                let cols = (self.len - p * self.width).min(self.width);
                let steps = STEPS.min(block.depth - step);
                // SAFETY: as in `turn`; the copy of whole panels is used only where all their vectors exist.
                unsafe {
                    let source = self.operand.at(self.start + p * self.width, block.start + step);
                    let target = self.panel(p, block).add(step * self.width);
                    if cols == self.width {
                        (self.copy)(source, self.operand.stride, steps, target);
                    } else {
                        copy_padded(source, self.operand.stride, cols, steps, target, self.width);
                    }
                }
            }
        }
    }
}

/// A block of k: `depth` steps from `start`, `offset` steps into what is packed at a time.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub start: usize,
    pub offset: usize,
    pub depth: usize,
}

/// Copies `steps` steps of a panel of `W` from rows `stride` apart.
///
/// # Safety
/// Both pointers are valid for their rows and do not overlap.
pub(super) unsafe fn copy<const W: usize>(source: *const f32, stride: usize, steps: usize, target: *mut f32) {
    for k in 0..steps {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(source.add(k * stride), target.add(k * W), W) }
    }
}

/// [`copy`] of the last panel: `cols` vectors, then zeros.
unsafe fn copy_padded(source: *const f32, stride: usize, cols: usize, steps: usize, target: *mut f32, width: usize) {
    for k in 0..steps {
        // SAFETY: the caller's promise.
        unsafe {
            let target = target.add(k * width);
            std::ptr::copy_nonoverlapping(source.add(k * stride), target, cols);
            std::ptr::write_bytes(target.add(cols), 0, width - cols);
        }
    }
}
