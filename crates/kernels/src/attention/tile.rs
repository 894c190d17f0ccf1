//! Small matrix product on one thread: `c[m, n] (+)= a[m, k] b[k, n]`, 6 x 16 outputs at a time in registers (AVX-512:
//! 8 x 32).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::Isa;
use crate::simd::{LANES, madd, multiversion};

/// A matrix with any strides.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub data: &'a [f32],
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns; one of the two is 1.
    pub col: usize,
}

/// What is fixed over the blocks of one product.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Product {
    ldc: usize,
    a_row: usize,
    a_col: usize,
    ldb: usize,
    k: usize,
    accumulate: bool,
}

/// `c` has rows `ldc` apart, `b` rows `ldb` apart.
#[allow(clippy::too_many_arguments)]
pub(super) fn tile(
    isa: Isa,
    c: &mut [f32],
    ldc: usize,
    a: Strided<'_>,
    b: &[f32],
    ldb: usize,
    m: usize,
    n: usize,
    k: usize,
    accumulate: bool,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(c.len() >= (m - 1) * ldc + n && b.len() >= (k - 1) * ldb + n, "tile: short matrix");
    assert!(a.data.len() > (m - 1) * a.row + (k - 1) * a.col, "tile: short left matrix");
    #[cfg(target_arch = "x86_64")]
    {
        let product = Product { ldc, a_row: a.row, a_col: a.col, ldb, k, accumulate };
        match isa {
            Isa::Avx512 | Isa::Amx => return avx512::tile(product, c, a, b, m, n),
            Isa::Avx2 => return avx2::tile(product, c, a, b, m, n),
            _ => {}
        }
    }
    narrow(isa, c, ldc, a, b, ldb, m, n, k, accumulate);
}

multiversion! {
    fn narrow(
        c: &mut [f32], ldc: usize, a: Strided<'_>, b: &[f32], ldb: usize, m: usize, n: usize, k: usize, accumulate: bool,
    ) {
        let mut i = 0;
        while i < m {
            let rows = (m - i).min(6);
            let a = Strided { data: &a.data[i * a.row..], ..a };
            let c = &mut c[i * ldc..];
            match rows {
                6 => rows_of::<FMA, 6>(c, ldc, a, b, ldb, n, k, accumulate),
                5 => rows_of::<FMA, 5>(c, ldc, a, b, ldb, n, k, accumulate),
                4 => rows_of::<FMA, 4>(c, ldc, a, b, ldb, n, k, accumulate),
                3 => rows_of::<FMA, 3>(c, ldc, a, b, ldb, n, k, accumulate),
                2 => rows_of::<FMA, 2>(c, ldc, a, b, ldb, n, k, accumulate),
                _ => rows_of::<FMA, 1>(c, ldc, a, b, ldb, n, k, accumulate),
            }
            i += rows;
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn rows_of<const FMA: bool, const R: usize>(
    c: &mut [f32],
    ldc: usize,
    a: Strided<'_>,
    b: &[f32],
    ldb: usize,
    n: usize,
    k: usize,
    accumulate: bool,
) {
    let mut j = 0;
    while j + LANES <= n {
        let mut acc = [[0.0f32; LANES]; R];
        if a.col == 1 {
            by_rows::<FMA, R>(&mut acc, a, &b[j..], ldb, k);
        } else {
            by_columns::<FMA, R>(&mut acc, a, &b[j..], ldb, k);
        }
        for (r, acc) in acc.iter().enumerate() {
            let out = &mut c[r * ldc + j..][..LANES];
            for l in 0..LANES {
                out[l] = if accumulate { out[l] + acc[l] } else { acc[l] };
            }
        }
        j += LANES;
    }
    for r in 0..R {
        for j in j..n {
            let mut sum = 0.0;
            for p in 0..k {
                sum = madd::<FMA>(a.data[r * a.row + p * a.col], b[p * ldb + j], sum);
            }
            let out = &mut c[r * ldc + j];
            *out = if accumulate { *out + sum } else { sum };
        }
    }
}

#[inline(always)]
fn by_rows<const FMA: bool, const R: usize>(acc: &mut [[f32; LANES]; R], a: Strided<'_>, b: &[f32], ldb: usize, k: usize) {
    let rows: [&[f32]; R] = std::array::from_fn(|r| &a.data[r * a.row..r * a.row + k]);
    for p in 0..k {
        let Some(b) = b[p * ldb..].first_chunk::<LANES>() else { return };
        for r in 0..R {
            let x = rows[r][p];
            for l in 0..LANES {
                acc[r][l] = madd::<FMA>(x, b[l], acc[r][l]);
            }
        }
    }
}

#[inline(always)]
fn by_columns<const FMA: bool, const R: usize>(acc: &mut [[f32; LANES]; R], a: Strided<'_>, b: &[f32], ldb: usize, k: usize) {
    for p in 0..k {
        let Some(b) = b[p * ldb..].first_chunk::<LANES>() else { return };
        let Some(a) = a.data[p * a.col..].first_chunk::<R>() else { return };
        for r in 0..R {
            for l in 0..LANES {
                acc[r][l] = madd::<FMA>(a[r], b[l], acc[r][l]);
            }
        }
    }
}
