//! Large products by Apple's Accelerate, through the C interface of BLAS.
#![allow(unsafe_code)]

use super::MatRef;

const ROW_MAJOR: i32 = 101;
const PLAIN: i32 = 111;
const TRANSPOSED: i32 = 112;
/// Multiply-adds below which the call costs more than it saves.
const SMALL: usize = 16 * 16 * 16;

#[link(name = "Accelerate", kind = "framework")]
unsafe extern "C" {
    fn cblas_sgemm(
        order: i32,
        trans_a: i32,
        trans_b: i32,
        m: i32,
        n: i32,
        k: i32,
        alpha: f32,
        a: *const f32,
        lda: i32,
        b: *const f32,
        ldb: i32,
        beta: f32,
        c: *mut f32,
        ldc: i32,
    );
}

/// Whether Accelerate should take the product: large enough, and its sizes fit the C interface.
pub(super) fn pays(a: MatRef, b: MatRef) -> bool {
    let limit = i32::MAX as usize;
    let fits = [a.rows, a.cols, b.cols, a.stride, b.stride].iter().all(|&x| x <= limit);
    fits && a.rows >= 4 && a.rows * a.cols * b.cols >= SMALL
}

/// c = a x b (+ c); shapes and extents have been checked.
pub(super) fn gemm(c: &mut [f32], c_stride: usize, a: MatRef, b: MatRef, accumulate: bool) {
    let trans = |m: MatRef| if m.transposed { TRANSPOSED } else { PLAIN };
    let beta = if accumulate { 1.0 } else { 0.0 };
    // SAFETY: extents were checked against the slices, and every size fits an i32.
    unsafe {
        cblas_sgemm(
            ROW_MAJOR,
            trans(a),
            trans(b),
            a.rows as i32,
            b.cols as i32,
            a.cols as i32,
            1.0,
            a.data.as_ptr(),
            a.stride as i32,
            b.data.as_ptr(),
            b.stride as i32,
            beta,
            c.as_mut_ptr(),
            c_stride as i32,
        );
    }
}
