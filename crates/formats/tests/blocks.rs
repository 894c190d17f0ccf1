//! Block encodings against vectors made by gguf-py (`xtask/gguf_goldens.py`), to the last bit.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use formats::Encoding;
use safetensors::SafeTensors;

fn golden() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/blocks.safetensors")).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn every_block_encoding_is_read_as_the_reference_reads_it() {
    let bytes = golden();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let blocks: Vec<Encoding> = Encoding::all().filter(|e| e.block_len() > 1).collect();
    assert_eq!(blocks.len(), 8);
    for e in blocks {
        let raw = file.tensor(&format!("{}.raw", e.name())).unwrap();
        let expected = floats(file.tensor(&format!("{}.f32", e.name())).unwrap().data());
        assert_eq!(e.bytes_of(expected.len()), Some(raw.data().len()), "{e:?}");
        let mut got = vec![0.0; expected.len()];
        e.decode(raw.data(), &mut got);
        let other = got.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(other, None, "{e:?}");
    }
}

#[test]
fn rounding_is_that_of_the_reference() {
    let bytes = golden();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = floats(file.tensor("encode.values").unwrap().data());
    for e in [Encoding::Q8_0, Encoding::F16, Encoding::Bf16] {
        let mut got = Vec::new();
        assert!(e.encode(&values, &mut got));
        assert_eq!(got, file.tensor(&format!("encode.{}", e.name())).unwrap().data(), "{e:?}");
    }
}

#[test]
fn what_cannot_be_said_is_not_written() {
    let mut out = vec![7];
    for (e, value) in [(Encoding::Q4_0, 1.0), (Encoding::Q8_0, f32::NAN), (Encoding::Q8_0, 1e10), (Encoding::F16, 7e4)] {
        let mut values = [0.5; 64];
        values[63] = value;
        assert!(!e.encode(&values, &mut out), "{e:?} {value}");
        assert_eq!(out, [7], "{e:?}");
    }
    assert!(Encoding::Q8_0.encode(&[1e-44; 32], &mut out), "a scale whose inverse is infinite");
    assert_eq!(out[1..], [0; 34]);
    assert_eq!((Encoding::Q8_0.bytes_of(33), Encoding::Q6K.bytes_of(512)), (None, Some(420)));
}
