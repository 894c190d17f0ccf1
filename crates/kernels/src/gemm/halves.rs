//! [`Halves`]: weights in bfloat16 as the right side of a product, read where they lie.

/// Most matrices of one product: queries, keys and values.
const PIECES: usize = 3;
/// Rows that are read together: no matrix but the last ends within them.
const TOGETHER: usize = 32;

/// Matrices of bfloat16, little-endian and of as many columns, one below the other: `[rows, cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Halves<'a> {
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only tiles read them"))]
    pieces: [&'a [u8]; PIECES],
    rows: usize,
    cols: usize,
}

impl<'a> Halves<'a> {
    /// The matrix of `pieces`, each whole rows of `cols` elements. None for more than three, and where one but the last has rows
    /// that are no multiple of 32.
    pub fn new(pieces: &[&'a [u8]], cols: usize) -> Option<Halves<'a>> {
        let (last, before) = pieces.split_last().filter(|_| pieces.len() <= PIECES && cols > 0)?;
        let whole = last.len().is_multiple_of(2 * cols) && before.iter().all(|p| p.len().is_multiple_of(2 * cols * TOGETHER));
        let mut all = [&[][..]; PIECES];
        all[..pieces.len()].copy_from_slice(pieces);
        let rows = pieces.iter().map(|p| p.len() / (2 * cols)).sum();
        whole.then_some(Halves { pieces: all, rows, cols })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The bytes of row `row` from column `col` on, up to the end of its piece; `row` and `col` are within the matrix.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn from(&self, mut row: usize, col: usize) -> &'a [u8] {
        for piece in self.pieces {
            let rows = piece.len() / (2 * self.cols);
            if row < rows {
                return &piece[2 * (row * self.cols + col)..];
            }
            row -= rows;
        }
        &[]
    }
}
