//! What a micro-kernel is: one tile of c over one block of k.
#![allow(unsafe_code)]

/// A tile: `rows` rows of the broadcast operand by `cols` columns of a packed panel, over `depth` steps of k.
pub(super) struct Tile {
    pub depth: usize,
    /// Element (i, k) of the broadcast operand is at `i * lhs_row + k * lhs_step`.
    pub lhs: *const f32,
    pub lhs_row: usize,
    pub lhs_step: usize,
    /// The panel: [depth, Micro::cols], aligned to 64 bytes, zero beyond `cols`.
    pub rhs: *const f32,
    /// Element (i, j) of the tile goes to `i * c_row + j`, transposed to `j * c_row + i`.
    pub c: *mut f32,
    pub c_row: usize,
    pub rows: usize,
    pub cols: usize,
    pub transposed: bool,
    pub accumulate: bool,
}

/// A micro-kernel and the blocking that suits its machine.
pub(super) struct Micro {
    /// Rows of a tile.
    pub rows: usize,
    /// Columns of a tile, the width of a packed panel.
    pub cols: usize,
    /// Longest block of k: a panel's worth of the broadcast operand stays in the first-level cache.
    pub depth: usize,
    /// Elements of packed panels that a task keeps in its second-level cache.
    pub cache: usize,
    /// # Safety
    /// The instruction set is available and the tile's pointers are valid for its shape.
    pub tile: unsafe fn(&Tile),
    /// Packs `cols` rows that lie `stride` apart and run along k into one panel [depth, width], zeros beyond `cols`:
    /// (source, stride, cols, depth, target).
    ///
    /// # Safety
    /// As for `tile`.
    pub pack_transposed: unsafe fn(*const f32, usize, usize, usize, *mut f32),
    /// Copies steps of a panel of the broadcast operand: (source, stride, steps, target).
    pub copy_rows: unsafe fn(*const f32, usize, usize, *mut f32),
    /// The same of the packed operand.
    pub copy_cols: unsafe fn(*const f32, usize, usize, *mut f32),
}

/// Stores an accumulator tile [MR, NR] through memory: the edges and transposed tiles of the narrow kernels.
///
/// # Safety
/// `tile.c` is valid for the tile's rows and columns.
pub(super) unsafe fn store<const MR: usize, const NR: usize>(tile: &Tile, sums: &[[f32; NR]; MR]) {
    let (row, col) = if tile.transposed { (1, tile.c_row) } else { (tile.c_row, 1) };
    for (i, sums) in sums.iter().enumerate().take(tile.rows) {
        for (j, &sum) in sums.iter().enumerate().take(tile.cols) {
            // SAFETY: i and j are within the tile.
            unsafe {
                let c = tile.c.add(i * row + j * col);
                *c = if tile.accumulate { *c + sum } else { sum };
            }
        }
    }
}

/// [`Micro::pack_transposed`] without vector instructions.
///
/// # Safety
/// See there.
pub(super) unsafe fn pack_transposed<const NR: usize>(
    source: *const f32,
    stride: usize,
    cols: usize,
    depth: usize,
    target: *mut f32,
) {
    for k in 0..depth {
        for j in 0..NR {
            // SAFETY: the caller's promise; columns beyond `cols` are not read.
            unsafe { *target.add(k * NR + j) = if j < cols { *source.add(j * stride + k) } else { 0.0 } };
        }
    }
}
