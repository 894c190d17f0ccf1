#![allow(clippy::unwrap_used)]

use super::*;

fn fp16(n: usize) -> Type {
    Type::new(DType::Fp16, &[n])
}

fn two() -> Vec<u8> {
    let mut writer = Writer::new();
    assert_eq!(writer.push(&fp16(3), &[1, 2, 3, 4, 5, 6]), Ok(64));
    assert_eq!(writer.push(&Type::new(DType::Int4, &[3]), &[0x21, 0x03]), Ok(192));
    writer.finish()
}

#[test]
fn records_come_back() {
    let file = two();
    assert_eq!(file.len(), 192 + 64 + 2);
    assert_eq!(
        records(&file).unwrap().iter().map(|r| (r.at, r.data, r.bytes)).collect::<Vec<_>>(),
        [(64, 128, 6), (192, 256, 2)]
    );
    assert_eq!(data(&file, 64, &fp16(3), Validation::Strict), Ok(&[1, 2, 3, 4, 5, 6][..]));
    assert_eq!(data(&file, 192, &Type::new(DType::Int4, &[3]), Validation::Strict), Ok(&[0x21, 0x03][..]));
}

#[test]
fn a_single_matrix_lies_as_the_baseline_writes_it() {
    let file = single(&fp16(4), &[0; 8]).unwrap();
    assert_eq!((file[0], file[4], &file[64..68]), (1, 2, &[0xEF, 0xBE, 0xAD, 0xDE][..]));
    assert_eq!((file[68], file[72], file[80], file.len()), (1, 8, 128, 136));
}

#[test]
fn another_type_or_size_than_declared_is_an_error() {
    let file = two();
    for ty in [fp16(2), fp16(4), Type::new(DType::Int16, &[3]), Type::new(DType::Fp16, &[usize::MAX, 3])] {
        assert!(data(&file, 64, &ty, Validation::Strict).is_err(), "{ty}");
    }
    assert!(data(&file, 192, &Type::new(DType::Int4, &[4]), Validation::Strict).is_err());
    for offset in [0, 1, 65, 128, 256, 1 << 20, u64::MAX] {
        assert!(data(&file, offset, &fp16(3), Validation::Strict).is_err(), "{offset}");
        assert!(data(&file, offset, &fp16(3), Validation::Lenient).is_err(), "{offset}");
    }
}

#[test]
fn every_wrong_byte_of_header_and_records_is_noticed() {
    let file = two();
    let described = (0..128).chain(192..256);
    for at in described {
        for bit in 0..8 {
            let mut file = file.clone();
            file[at] ^= 1 << bit;
            let first = data(&file, 64, &fp16(3), Validation::Strict);
            let second = data(&file, 192, &Type::new(DType::Int4, &[3]), Validation::Strict);
            assert!(first.is_err() || second.is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let file = two();
    for length in 0..file.len() {
        assert!(records(&file[..length]).is_err(), "{length}");
    }
}

/// The benchmarks of the original set byte 10 of the record alone: 524288 bytes at offset 0, whatever the matrix, which is
/// nearly right for 512 channels and for nothing else.
#[test]
fn the_malformed_blobs_of_512_channels_are_rejected() {
    for channels in [256, 512, 1024] {
        let ty = Type::new(DType::Fp16, &[channels, channels, 1, 1]);
        let mut file = vec![0; 128 + ty.bytes().unwrap()];
        (file[0], file[4], file[68], file[74]) = (1, 2, 1, 8);
        file[64..68].copy_from_slice(&SENTINEL.to_le_bytes());
        let error = data(&file, 64, &ty, Validation::Strict).unwrap_err();
        assert_eq!((error.offset, error.what), (80, "offset of the data"), "{error}");
        assert_eq!(data(&file, 64, &ty, Validation::Lenient).unwrap().len(), ty.bytes().unwrap());
        // with the offset set right, the size is what gives them away
        file[80] = 128;
        assert_eq!(data(&file, 64, &ty, Validation::Strict).is_ok(), channels == 512);
    }
}

/// The int8 file of the original C bridge begins with its record.
#[test]
fn a_file_without_header_is_rejected() {
    let mut file = vec![0; 64 + 16];
    file[..4].copy_from_slice(&SENTINEL.to_le_bytes());
    assert!(records(&file).unwrap_err().to_string().contains("version"));
}
