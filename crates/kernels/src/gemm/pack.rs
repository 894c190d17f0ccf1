//! Operands as the micro-kernel sees them, and their packing into panels.
#![allow(unsafe_code)]

use super::micro::Micro;
use super::{MatRef, drive::Blocks};
use crate::pool::Shareable;

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
    /// Copies one step of k of a whole panel.
    copy: unsafe fn(*const f32, *mut f32),
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

    /// Panels that one task packs: enough for whole cache lines of the source, few enough for its write streams.
    fn group(&self) -> usize {
        (192 / self.width).clamp(1, 8)
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

    unsafe fn copy(&self, first: usize, last: usize, block: Block) {
        for k in 0..block.depth {
            for p in first..last {
                let cols = (self.len - p * self.width).min(self.width);
                // SAFETY: as in `turn`; the copy of a whole panel is used only where all its vectors exist.
                unsafe {
                    let source = self.operand.at(self.start + p * self.width, block.start + k);
                    let target = self.panel(p, block).add(k * self.width);
                    if cols == self.width {
                        (self.copy)(source, target);
                    } else {
                        std::ptr::copy_nonoverlapping(source, target, cols);
                        std::ptr::write_bytes(target.add(cols), 0, self.width - cols);
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

/// Copies one step of a panel of `W`.
///
/// # Safety
/// Both pointers are valid for `W` floats and do not overlap.
pub(super) unsafe fn copy<const W: usize>(source: *const f32, target: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(source, target, W) }
}
