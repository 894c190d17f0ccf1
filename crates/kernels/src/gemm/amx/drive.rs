//! Blocks of an AMX product, shared out to threads: both operands are split and packed, then tasks of a few panels of rows
//! by a few panels of columns, sized for a core's second-level cache, are claimed as threads come free.
//!
//! An element of c is one chain of sums in ascending k, whatever the blocking: its tile is kept or reloaded, never added up
//! apart. So the bits depend neither on the threads nor on the sizes below.

use std::sync::atomic::{AtomicBool, Ordering};

use super::halves::{self, Rows};
use super::split::{Side, after, pack_step};
use super::{AHEAD, SIDE, STEP, STEP_BYTES, multiply, with_tiles};
use crate::gemm::buffer::Buffer;
use crate::gemm::pack::Operand;
use crate::gemm::{Halves, MatRef};
use crate::pool::{Pool, Shareable};

/// Steps of a block of k: a panel's worth, 24 KiB, stays in the first-level cache.
const BLOCK: usize = 4;
/// Elements of each operand that are packed at a time.
const PACKED_MAX: usize = 1 << 20;
/// Longest stretch of k that is packed at a time.
const DEPTH_MAX: usize = 1024;
/// Panels of rows and of columns of a task: their blocks of k and their part of c share the second-level cache.
const TASK_PANELS: usize = 16;
/// Tasks a thread should find in a product, so that a late thread does not hold up the end.
const TASKS_PER_THREAD: usize = 3;
/// Vectors that one packing task takes, where they lie side by side.
const GROUP: usize = 8;
/// Multiply-adds from which packing pays, and the least extent of each side.
const PAYS: (usize, usize) = (1 << 19, 16);

/// See [`super::super::Cpu::PACK_BYTES_MAX`]; a last panel and step are padded.
pub(in crate::gemm) const BUFFER_BYTES_MAX: usize = 2 * 6 * (PACKED_MAX + SIDE * DEPTH_MAX);

/// What operands are packed into.
#[derive(Default)]
pub(in crate::gemm) struct Buffers {
    left: Buffer,
    right: Buffer,
}

impl Buffers {
    pub(in crate::gemm) fn bytes(&self) -> usize {
        self.left.bytes() + self.right.bytes()
    }
}

/// Whether a product is large enough to be split.
pub(in crate::gemm) fn pays(m: usize, n: usize, k: usize) -> bool {
    m.min(n).min(k) >= PAYS.1 && m.saturating_mul(n).saturating_mul(k) >= PAYS.0
}

/// The right operand.
#[derive(Clone, Copy)]
pub(in crate::gemm) enum Right<'a> {
    /// f32, of which every stretch is looked at: it may be bfloat16 all the same.
    Floats(MatRef<'a>),
    /// bfloat16.
    Halves(Halves<'a>, Rows),
}

/// Where a part comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Floats(Operand),
    Halves(Halves<'a>, Rows),
}

impl Right<'_> {
    fn columns(&self) -> usize {
        match self {
            Right::Floats(b) => b.cols,
            Right::Halves(w, Rows::Columns) => w.rows(),
            Right::Halves(w, Rows::Steps) => w.cols(),
        }
    }
}

/// Part of an operand: panels of 32 vectors over a stretch of k, as blocks of k [panel][step].
#[derive(Clone, Copy)]
struct Part<'a> {
    side: Side,
    source: Source<'a>,
    target: Shareable<f32>,
    /// First vector, and how many.
    start: usize,
    len: usize,
    /// First element of k, and how many.
    k: usize,
    depth: usize,
}

impl Part<'_> {
    fn panels(&self) -> usize {
        self.len.div_ceil(SIDE)
    }

    fn blocks(&self) -> usize {
        self.depth.div_ceil(BLOCK * STEP)
    }

    /// Steps of a block.
    fn steps(&self, block: usize) -> usize {
        self.depth.div_ceil(STEP).min((block + 1) * BLOCK) - block * BLOCK
    }

    /// The first step of panel `p` in `block`.
    fn at(&self, p: usize, block: usize) -> *mut u8 {
        let steps = self.panels() * block * BLOCK + p * self.steps(block);
        self.target.get().cast::<u8>().wrapping_add(after(steps))
    }

    fn tasks(&self) -> usize {
        self.panels().div_ceil(GROUP) * self.blocks()
    }

    /// Packs what is task `task` of [`Self::tasks`]; says whether all of it is bfloat16.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16, the target holds the part, and no other thread runs this task.
    unsafe fn pack(&self, task: usize) -> bool {
        let groups = self.panels().div_ceil(GROUP);
        let (block, first) = (task / groups, task % groups * GROUP);
        let panels = first..(first + GROUP).min(self.panels());
        let mut whole = true;
        let along = match &self.source {
            Source::Floats(operand) => operand.along,
            Source::Halves(_, rows) => *rows == Rows::Columns,
        };
        // SAFETY: the caller's promise.
        unsafe {
            if along {
                panels.for_each(|p| (0..self.steps(block)).for_each(|step| whole &= self.pack_step(p, block, step)));
            } else {
                // each step of k is a row of memory, read along
                (0..self.steps(block)).for_each(|step| panels.clone().for_each(|p| whole &= self.pack_step(p, block, step)));
            }
        }
        whole
    }

    /// Packs one step of panel `p`.
    ///
    /// # Safety
    /// As for [`Self::pack`].
    unsafe fn pack_step(&self, p: usize, block: usize, step: usize) -> bool {
        let offset = (block * BLOCK + step) * STEP;
        let (vectors, depth) = ((self.len - p * SIDE).min(SIDE), (self.depth - offset).min(STEP));
        let target = self.at(p, block).wrapping_add(after(step));
        let (vector, k) = (self.start + p * SIDE, self.k + offset);
        // SAFETY: the vectors and steps are within the part, and so is the target.
        unsafe {
            match &self.source {
                Source::Floats(operand) => pack_step(self.side, operand, vector, vectors, k, depth, target),
                Source::Halves(w, rows) => {
                    halves::pack_step((w, *rows), (vector, vectors), (k, depth), target);
                    true
                }
            }
        }
    }
}

/// c[m, n]: where its element (0, 0) is, and how far its rows are apart.
#[derive(Clone, Copy)]
struct Target {
    data: Shareable<f32>,
    stride: usize,
}

/// c = a x b (+ c); shapes and extents have been checked, none is 0, and tiles are available.
pub(in crate::gemm) fn gemm(
    pool: &Pool,
    buffers: &mut Buffers,
    c: &mut [f32],
    c_stride: usize,
    a: MatRef,
    b: Right,
    accumulate: bool,
) {
    let (left, len, k) = (Operand::rows_of(a), b.columns(), a.cols);
    let right = match b {
        Right::Floats(b) => Source::Floats(Operand::columns_of(b)),
        Right::Halves(w, rows) => Source::Halves(w, rows),
    };
    let target = Target { data: Shareable::new(c.as_mut_ptr()), stride: c_stride };
    let depth = equal_part(k, DEPTH_MAX, STEP * BLOCK);
    let (rows, columns) = (equal_part(left.len, PACKED_MAX / depth, SIDE), equal_part(len, PACKED_MAX / depth, SIDE));
    let floats = |vectors: usize| vectors.next_multiple_of(SIDE) * depth.next_multiple_of(STEP) / STEP * STEP_BYTES / SIDE / 4;
    let (left_target, right_target) = (buffers.left.at_least(floats(rows)), buffers.right.at_least(floats(columns)));
    for k_start in (0..k).step_by(depth) {
        let part = |side, source, target, vectors: std::ops::Range<usize>| Part {
            side,
            source,
            target: Shareable::new(target),
            start: vectors.start,
            len: vectors.len(),
            k: k_start,
            depth: depth.min(k - k_start),
        };
        for j in (0..len).step_by(columns) {
            let right = part(Side::Right, right, right_target, j..len.min(j + columns));
            let mut narrow = false;
            for i in (0..left.len).step_by(rows) {
                let whole = rows >= left.len;
                let left = part(Side::Left, Source::Floats(left), left_target, i..left.len.min(i + rows));
                let packed = pack(pool, (!whole || j == 0).then_some(&left), (i == 0).then_some(&right));
                if i == 0 {
                    narrow = packed;
                }
                compute(pool, &left, (&right, narrow), target, accumulate || k_start > 0);
            }
        }
    }
}

/// Cuts `len` into equal parts, multiples of `unit` and at most `limit` long (or one unit).
fn equal_part(len: usize, limit: usize, unit: usize) -> usize {
    let (units, most) = (len.div_ceil(unit), (limit / unit).max(1));
    units.div_ceil(units.div_ceil(most)) * unit
}

/// Packs the parts; says whether the right one is all bfloat16: weights of a released model often are.
fn pack(pool: &Pool, left: Option<&Part>, right: Option<&Part>) -> bool {
    let narrow = AtomicBool::new(true);
    let tasks = |part: Option<&Part>| part.map_or(0, Part::tasks);
    let of_right = tasks(right);
    pool.run(of_right + tasks(left), &|task| {
        let (part, task) = if task < of_right { (right, task) } else { (left, task - of_right) };
        if let Some(part) = part {
            // SAFETY: each task is run once, and the buffers hold the parts.
            let whole = unsafe { part.pack(task) };
            if !whole && part.side == Side::Right {
                narrow.store(false, Ordering::Relaxed);
            }
        }
    });
    narrow.into_inner()
}

fn compute(pool: &Pool, left: &Part, (right, narrow): (&Part, bool), target: Target, accumulate: bool) {
    let (rows, columns) = task_panels(left.panels(), right.panels(), pool.threads());
    let row_tasks = left.panels().div_ceil(rows);
    pool.run(right.panels().div_ceil(columns) * row_tasks, &|task| {
        let (j, i) = (task / row_tasks * columns, task % row_tasks * rows);
        let (j_end, i_end) = ((j + columns).min(right.panels()), (i + rows).min(left.panels()));
        // SAFETY: the blocks are within c, no other task has them, their panels are packed, and nothing here unwinds.
        unsafe {
            with_tiles(|| {
                for block in 0..left.blocks() {
                    let mut next_right = right.at(j, (block + 1).min(right.blocks() - 1));
                    for i in i..i_end {
                        let mut next_left = left.at(i + 1, block);
                        for j in j..j_end {
                            let next = (next_left.cast_const(), next_right.cast_const());
                            tile(left, (right, narrow), (i, j, block), next, target, accumulate || block > 0);
                            next_left = next_left.wrapping_add(AHEAD * BLOCK);
                            next_right = next_right.wrapping_add(AHEAD * BLOCK);
                        }
                    }
                }
            });
        }
    });
}

/// Panels of rows and of columns that a task takes.
fn task_panels(rows: usize, columns: usize, threads: usize) -> (usize, usize) {
    let even = |panels: usize, most: usize| panels.div_ceil(panels.div_ceil(most));
    let (mut r, mut c) = (even(rows, TASK_PANELS), even(columns, TASK_PANELS));
    while rows.div_ceil(r) * columns.div_ceil(c) < TASKS_PER_THREAD * threads && r.max(c) > 2 {
        if r > c { r = even(rows, r.div_ceil(2)) } else { c = even(columns, c.div_ceil(2)) }
    }
    (r, c)
}

/// One block of c over one block of k. Blocks at the edge of c go through memory of their own.
unsafe fn tile(
    left: &Part,
    (right, narrow): (&Part, bool),
    (i, j, block): (usize, usize, usize),
    (next_left, next_right): (*const u8, *const u8),
    target: Target,
    accumulate: bool,
) {
    let (row, column) = (i * SIDE, j * SIDE);
    let (rows, columns) = ((left.len - row).min(SIDE), (right.len - column).min(SIDE));
    let (panels, steps) = ((left.at(i, block).cast_const(), right.at(j, block).cast_const()), left.steps(block));
    // SAFETY: the caller's promise.
    unsafe {
        let c = target.data.get().add((left.start + row) * target.stride + right.start + column);
        let next = (next_left, next_right, c.wrapping_add(SIDE).cast_const());
        if rows == SIDE && columns == SIDE {
            return multiply(panels, next, (steps, narrow), c, 4 * target.stride, accumulate);
        }
        let mut edge = Edge([0.0; SIDE * SIDE]);
        let own = edge.0.as_mut_ptr();
        if accumulate {
            (0..rows).for_each(|r| c.add(r * target.stride).copy_to_nonoverlapping(own.add(r * SIDE), columns));
        }
        multiply(panels, next, (steps, narrow), own, 4 * SIDE, accumulate);
        (0..rows).for_each(|r| own.add(r * SIDE).copy_to_nonoverlapping(c.add(r * target.stride), columns));
    }
}

#[repr(align(64))]
struct Edge([f32; SIDE * SIDE]);
