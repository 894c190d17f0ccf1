use super::*;

const KINDS: [Distribution; 2] = [Distribution::Gaussian, Distribution::Rademacher];

fn noise(seed: u64, distribution: Distribution) -> Noise {
    Noise { seed, distribution, isa: Isa::best() }
}

#[test]
fn published_vectors() {
    // kat_vectors of Random123, threefry4x32 with 20 rounds
    let cases = [
        ([0; 4], [0; 4], [0x9c6c_a96a, 0xe17e_ae66, 0xfc10_ecd4, 0x5256_a7d8]),
        ([u32::MAX; 4], [u32::MAX; 4], [0x2a88_1696, 0x5701_2287, 0xf6c7_446e, 0xa16a_6732]),
    ];
    for (counter, key, want) in cases {
        let x = threefry(counter.map(|c| [c; LANES]), key, 20);
        assert_eq!(x.map(|w| w[3]), want);
    }
}

#[test]
fn elements_depend_neither_on_chunks_nor_on_the_instruction_set() {
    for kind in KINDS {
        let (mut whole, mut part) = (vec![0.0; 9000], vec![0.0; 9000]);
        noise(7, kind).fill(3, &mut whole);
        for chunk in [1, 5, 127, 128, 2048, 2049, 5000] {
            for (i, part) in part.chunks_mut(chunk).enumerate() {
                noise(7, kind).fill(3 + i * chunk, part);
            }
            assert!(part == whole, "{kind:?} in chunks of {chunk}");
        }
        for isa in Isa::available() {
            Noise { isa, ..noise(7, kind) }.fill(3, &mut part);
            assert!(part == whole, "{kind:?} on {}", isa.name());
        }
    }
}

#[test]
fn bits_are_those_of_every_platform() {
    let mut out = [0.0; 4];
    noise(42, Distribution::Gaussian).fill(0, &mut out);
    assert_eq!(out.map(f32::to_bits), NORMALS_OF_42, "{:#010x?}", out.map(f32::to_bits));
    noise(42, Distribution::Rademacher).fill(0, &mut out);
    assert_eq!(out, SIGNS_OF_42);
}

const NORMALS_OF_42: [u32; 4] = [0x3f36_10a3, 0xbf21_cc3c, 0xbfa9_1f0f, 0x3fa5_511e];
const SIGNS_OF_42: [f32; 4] = [-1.0, 1.0, 1.0, 1.0];

#[test]
fn moments_and_independence() {
    let n = 1 << 20;
    for kind in KINDS {
        let (mut a, mut b) = (vec![0.0; n], vec![0.0; n]);
        noise(3, kind).fill(0, &mut a);
        noise(4, kind).fill(0, &mut b);
        let mean = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        let power = |p: i32| mean(&|i| f64::from(a[i]).powi(p));
        assert!(a.iter().all(|x| x.abs() < 4.86));
        let fourth = if kind == Distribution::Gaussian { 3.0 } else { 1.0 };
        for (p, want, tolerance) in [(1, 0.0, 5e-3), (2, 1.0, 8e-3), (3, 0.0, 2e-2), (4, fourth, 6e-2)] {
            assert!((power(p) - want).abs() < tolerance, "{kind:?} moment {p}: {}", power(p));
        }
        assert!(mean(&|i| f64::from(a[i] * b[i])).abs() < 5e-3, "{kind:?}: seeds are correlated");
        for lag in [1, 16, 32, 64, 128, 512, 2048] {
            let correlation = mean(&|i| f64::from(a[i] * a[(i + lag) % n]));
            assert!(correlation.abs() < 5e-3, "{kind:?} at distance {lag}: {correlation}");
        }
    }
}

#[test]
fn normals_are_normal() {
    let n = 1 << 20;
    let mut a = vec![0.0f32; n];
    noise(9, Distribution::Gaussian).fill(0, &mut a);
    // shares below these, of the normal distribution
    for (x, share) in [(-2.0, 0.022_75), (-1.0, 0.158_66), (0.0, 0.5), (0.5, 0.691_46), (1.5, 0.933_19), (3.0, 0.998_65)] {
        let found = a.iter().filter(|z| **z < x).count() as f64 / n as f64;
        assert!((found - share).abs() < 2e-3, "below {x}: {found}, expected {share}");
    }
}
