#![allow(clippy::unwrap_used)]
use super::*;

fn isas() -> Vec<Isa> {
    Isa::available().collect()
}

/// Values that differ everywhere, of both signs, about 1 in size.
fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

struct Case {
    m: usize,
    n: usize,
    k: usize,
    a_transposed: bool,
    b_transposed: bool,
    /// Extra elements between rows of a, b and c.
    gap: usize,
    accumulate: bool,
}

/// A matrix [rows, cols] and, if `transposed`, one stored the other way round.
fn stored(rows: usize, cols: usize, transposed: bool, gap: usize, seed: u32) -> (Vec<f32>, usize) {
    let (rows, cols) = if transposed { (cols, rows) } else { (rows, cols) };
    (values(rows * (cols + gap), seed), cols + gap)
}

fn view(data: &[f32], rows: usize, cols: usize, stride: usize, transposed: bool) -> MatRef<'_> {
    if transposed { MatRef::strided(data, cols, rows, stride).t() } else { MatRef::strided(data, rows, cols, stride) }
}

fn element(m: MatRef, i: usize, j: usize) -> f64 {
    f64::from(m.data[if m.transposed { j * m.stride + i } else { i * m.stride + j }])
}

fn check(cpus: &[Cpu], case: &Case) {
    let &Case { m, n, k, gap, accumulate, .. } = case;
    let (a, a_stride) = stored(m, k, case.a_transposed, gap, 1);
    let (b, b_stride) = stored(k, n, case.b_transposed, gap, 2);
    let (a, b) = (view(&a, m, k, a_stride, case.a_transposed), view(&b, k, n, b_stride, case.b_transposed));
    let before = values(m * (n + gap), 3);
    let mut first: Option<Vec<f32>> = None;
    for cpu in cpus {
        let what = format!(
            "{} x{}: [{m}, {k}] x [{k}, {n}] t {} {} gap {gap} acc {accumulate}",
            cpu.isa().name(),
            cpu.pool().threads(),
            case.a_transposed,
            case.b_transposed
        );
        let mut c = before.clone();
        cpu.gemm(&mut c, n + gap, a, b, accumulate);
        match &first {
            Some(first) => assert!(c.iter().zip(first).all(|(x, y)| x.to_bits() == y.to_bits()), "bits differ: {what}"),
            None => compare(&c, &before, a, b, n + gap, accumulate, &what),
        }
        first.get_or_insert(c);
    }
}

fn compare(c: &[f32], before: &[f32], a: MatRef, b: MatRef, stride: usize, accumulate: bool, what: &str) {
    for i in 0..a.rows {
        for j in 0..stride {
            let (got, was) = (c[i * stride + j], before[i * stride + j]);
            if j >= b.cols {
                assert_eq!(got, was, "wrote beyond the row: {what} at ({i}, {j})");
                continue;
            }
            let terms = (0..a.cols).map(|k| element(a, i, k) * element(b, k, j));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
            let want = sum + if accumulate { f64::from(was) } else { 0.0 };
            let error = (f64::from(got) - want).abs();
            assert!(error <= 1e-6 * (size + 1.0), "{what} at ({i}, {j}): got {got}, want {want}");
        }
    }
}

fn for_each_isa(cases: &[Case]) {
    for isa in isas() {
        let cpus: Vec<Cpu> = [1, 2, 3, 4].into_iter().map(|threads| Cpu::with_isa(threads, isa)).collect();
        cases.iter().for_each(|case| check(&cpus, case));
    }
}

fn all_forms(m: usize, n: usize, k: usize, cases: &mut Vec<Case>) {
    for form in 0..16 {
        let gap = if form & 8 == 0 { 0 } else { 5 };
        let [a_transposed, b_transposed, accumulate] = [1, 2, 4].map(|bit| form & bit != 0);
        cases.push(Case { m, n, k, a_transposed, b_transposed, gap, accumulate });
    }
}

#[test]
fn small_and_odd_shapes() {
    let mut cases = Vec::new();
    for m in [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17, 50] {
        for n in [1, 5, 16, 17, 31, 33, 48, 49, 64, 97, 101] {
            for k in [1, 2, 7, 16, 33, 65] {
                all_forms(m, n, k, &mut cases);
            }
        }
    }
    for_each_isa(&cases);
}

#[test]
fn several_blocks_of_k() {
    let mut cases = Vec::new();
    for (m, n, k) in [(9, 50, 513), (65, 33, 1409), (17, 97, 1030), (2, 70, 700), (3, 129, 2000)] {
        all_forms(m, n, k, &mut cases);
    }
    for_each_isa(&cases);
}

#[test]
fn several_passes() {
    let mut cases = Vec::new();
    all_forms(11, 70, 5000, &mut cases);
    for (m, n, k) in [(20, 4801, 513), (4803, 20, 513), (2100, 30, 600)] {
        for form in 0..4 {
            let (a_transposed, b_transposed) = (form & 1 != 0, form & 2 != 0);
            cases.push(Case { m, n, k, a_transposed, b_transposed, gap: 0, accumulate: form == 3 });
        }
    }
    let cpus = [Cpu::with_isa(1, Isa::best()), Cpu::with_isa(2, Isa::best()), Cpu::with_isa(3, Isa::best())];
    cases.iter().for_each(|case| check(&cpus, case));
}

#[test]
fn empty_shapes() {
    let cpu = Cpu::new(2);
    let mut c = [1.0, 2.0, 3.0, 4.0];
    cpu.gemm(&mut c, 2, MatRef::new(&[], 2, 0), MatRef::new(&[], 0, 1), true);
    assert_eq!(c, [1.0, 2.0, 3.0, 4.0]);
    cpu.gemm(&mut c, 2, MatRef::new(&[], 2, 0), MatRef::new(&[], 0, 1), false);
    assert_eq!(c, [0.0, 2.0, 0.0, 4.0]);
    cpu.gemm(&mut [], 0, MatRef::new(&[], 0, 3), MatRef::new(&[0.0; 3], 3, 1), false);
}

#[test]
#[should_panic(expected = "c needs 6 elements")]
fn short_output_is_refused() {
    Cpu::new(1).gemm(&mut [0.0; 5], 3, MatRef::new(&[0.0; 4], 2, 2), MatRef::new(&[0.0; 6], 2, 3), false);
}

#[test]
fn buffers_are_kept_and_bounded() {
    let cpu = Cpu::new(2);
    let (a, b) = (values(500 * 700, 1), values(500 * 900, 2));
    let mut c = vec![0.0; 700 * 900];
    let mut sizes = (0..3).map(|_| {
        cpu.gemm(&mut c, 900, MatRef::new(&a, 500, 700).t(), MatRef::new(&b, 500, 900), false);
        cpu.pack_bytes()
    });
    let first = sizes.next().unwrap();
    assert!(first > 0 && first <= Cpu::PACK_BYTES_MAX);
    assert!(sizes.all(|size| size == first));
}

#[test]
fn names_of_instruction_sets() {
    assert_eq!(Isa::detect(None), Ok(Isa::best()));
    assert_eq!(Isa::detect(Some("auto")), Ok(Isa::best()));
    for isa in isas() {
        assert_eq!(Isa::detect(Some(isa.name())), Ok(isa));
    }
    let error = Isa::detect(Some("mmx")).unwrap_err();
    assert!(error.to_string().contains("\"mmx\"") && error.to_string().contains("scalar"), "{error}");
}

/// Root mean square of the errors, in units of the sum of the magnitudes of the terms.
fn rms_error(cpu: &Cpu, a: &[f32], b: &[f32], (m, n, k): (usize, usize, usize)) -> f64 {
    let mut c = vec![0.0; m * n];
    cpu.gemm(&mut c, n, MatRef::new(a, m, k), MatRef::new(b, n, k).t(), false);
    let error = |(at, &got): (usize, &f32)| {
        let terms = (0..k).map(|p| f64::from(a[at / n * k + p]) * f64::from(b[at % n * k + p]));
        let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
        ((f64::from(got) - sum) / size).powi(2)
    };
    (c.iter().enumerate().map(error).sum::<f64>() / (m * n) as f64).sqrt()
}

#[test]
fn tiles_of_bfloat16_are_as_exact_as_multiply_adds() {
    if !Isa::Amx.is_available() {
        eprintln!("SKIPPED: exactness of AMX products: this machine has no bfloat16 tiles");
        return;
    }
    let (amx, avx512) = (Cpu::with_isa(2, Isa::Amx), Cpu::with_isa(2, Isa::Avx512));
    for k in [64, 512, 4096] {
        let (m, n) = (48, 80);
        let mut a = values(m * k, 1);
        // magnitudes over twelve decades: a lost plane would show at once
        a.iter_mut().enumerate().for_each(|(i, x)| *x *= 10f32.powi((i / 7 % 13) as i32 - 6));
        let b = values(n * k, 2);
        let [tiles, chains] = [&amx, &avx512].map(|cpu| rms_error(cpu, &a, &b, (m, n, k)));
        assert!(tiles <= 2.0 * chains, "k = {k}: {tiles:.2e} of the terms, multiply-adds {chains:.2e}");
        println!("k = {k}: tiles {tiles:.2e}, multiply-adds {chains:.2e}");
    }
}

#[test]
fn a_value_that_is_not_finite_stays_so() {
    for isa in isas() {
        let cpu = Cpu::with_isa(2, isa);
        for bad in [f32::NAN, f32::INFINITY] {
            let (mut a, b, mut c) = (values(64 * 512, 1), values(512 * 64, 2), vec![0.0; 64 * 64]);
            a[5 * 512 + 17] = bad;
            cpu.gemm(&mut c, 64, MatRef::new(&a, 64, 512), MatRef::new(&b, 512, 64), false);
            for (at, x) in c.iter().enumerate() {
                assert_eq!(x.is_finite(), at / 64 != 5, "{} {bad} at {at}: {x}", isa.name());
            }
        }
    }
}

/// Weights of released models are bfloat16 in f32: a cheaper way through the tiles, and the same bits.
#[test]
fn a_right_operand_of_bfloat16_gives_the_bits_of_the_full_product() {
    if !Isa::Amx.is_available() {
        eprintln!("SKIPPED: products with a bfloat16 operand on tiles: this processor has no tiles");
        return;
    }
    let cpu = Cpu::with_isa(2, Isa::Amx);
    for (m, n, k, transposed) in [(64, 96, 128, true), (130, 70, 300, false), (512, 576, 1536, true)] {
        let a = values(m * k, 1);
        // rows of b are its columns where it is stored the other way round; the last column alone decides
        let mut b: Vec<f32> = values(n * k, 2).iter().map(|v| f32::from_bits(v.to_bits() & 0xffff_0000)).collect();
        let product = |b: &[f32]| {
            let mut c = vec![0.5; m * n];
            cpu.gemm(&mut c, n, MatRef::new(&a, m, k), view(b, k, n, if transposed { k } else { n }, transposed), true);
            c
        };
        let narrow = product(&b);
        let last = if transposed { (n - 1) * k } else { n - 1 };
        b[last] += f32::from_bits(b[last].to_bits() & 0x7f80_0000) / 4096.0;
        let full = product(&b);
        let changed = narrow.iter().zip(&full).filter(|(x, y)| x.to_bits() != y.to_bits()).count();
        let outside = (0..m * n).filter(|i| i % n != n - 1 && narrow[*i].to_bits() != full[*i].to_bits()).count();
        assert!(outside == 0 && changed > 0, "{m} x {n} x {k}: {outside} others of {changed}");
    }
}

/// Weights where they lie in a file, in one, two or three matrices, at an odd address.
#[test]
fn stored_bfloat16_gives_the_bits_of_the_same_weights_in_f32() {
    if !Isa::Amx.is_available() {
        eprintln!("SKIPPED: products with stored bfloat16 on tiles: this processor has no tiles");
        return;
    }
    let cpu = Cpu::with_isa(2, Isa::Amx);
    for (m, pieces, cols) in
        [(64, vec![96], 128), (130, vec![64, 32, 38], 300), (500, vec![1536, 1501], 577), (33, vec![1100], 40)]
    {
        let rows: usize = pieces.iter().sum();
        let floats: Vec<f32> = values(rows * cols, 2).iter().map(|v| f32::from_bits(v.to_bits() & 0xffff_0000)).collect();
        let mut bytes = vec![0];
        floats.iter().for_each(|v| bytes.extend(((v.to_bits() >> 16) as u16).to_le_bytes()));
        let mut rest = &bytes[1..];
        let lying: Vec<&[u8]> = pieces.iter().map(|n| rest.split_off(..2 * n * cols).unwrap()).collect();
        let halves = Halves::new(&lying, cols).unwrap();
        for transposed in [true, false] {
            let (k, n) = if transposed { (cols, rows) } else { (rows, cols) };
            let a = values(m * k, 1);
            let (mut expected, mut found) = (vec![0.5; m * n], vec![0.5; m * n]);
            let w = MatRef::new(&floats, rows, cols);
            for accumulate in [false, true] {
                let a = MatRef::new(&a, m, k);
                cpu.gemm(&mut expected, n, a, if transposed { w.t() } else { w }, accumulate);
                assert!(cpu.gemm_halves(&mut found, n, a, (&halves, transposed), accumulate));
                let differ = expected.iter().zip(&found).filter(|(x, y)| x.to_bits() != y.to_bits()).count();
                assert_eq!(differ, 0, "{m}, {pieces:?} x {cols}, transposed {transposed}");
            }
        }
    }
    assert!(Halves::new(&[&[0; 2 * 31 * 8], &[0; 16]], 8).is_none(), "a tile would cross from one matrix to the next");
    assert!(Halves::new(&[&[0; 15]], 8).is_none());
    let (w, mut c) = (Halves::new(&[&[0; 2 * 8 * 8]], 8).unwrap(), [0.0; 64]);
    assert!(!cpu.gemm_halves(&mut c, 8, MatRef::new(&[0.0; 64], 8, 8), (&w, true), false), "too small for tiles");
    assert!(!Cpu::with_isa(1, Isa::Scalar).gemm_halves(&mut c, 8, MatRef::new(&[0.0; 64], 8, 8), (&w, true), false));
}
