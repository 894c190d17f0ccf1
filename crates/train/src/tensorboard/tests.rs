#![allow(clippy::unwrap_used)]

use super::*;
use crate::events::{Eval, Finished, Sample, Step};

#[test]
fn crc_matches_the_published_vectors() {
    // RFC 3720, B.4
    assert_eq!(crc::crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc::crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc::crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    assert_eq!(crc::crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn the_version_record_is_framed_byte_for_byte() {
    let mut event = Message::default();
    event.bytes(3, b"brain.Event:2");
    let mut record = Vec::new();
    frame(&mut record, event.as_bytes());
    assert_eq!(record[..8], 15u64.to_le_bytes());
    assert_eq!(&record[12..27], b"\x1a\x0dbrain.Event:2");
    assert_eq!(record.len(), 8 + 4 + 15 + 4);
    record.clear();
    // with a wall time it has 24 bytes: the beginning of every file that TensorFlow writes
    frame(&mut record, &[0; 24]);
    assert_eq!(record[..12], [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
}

#[test]
fn varints_take_seven_bits_a_byte() {
    let mut m = Message::default();
    m.varint(2, 300);
    m.varint(1, u64::MAX);
    assert_eq!(m.as_bytes()[..3], [0x10, 0xac, 0x02]);
    assert_eq!(m.as_bytes().len(), 3 + 1 + 10);
}

/// Splits a file into its records, checking both sums.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], crc::masked(&rest[..8]).to_le_bytes());
        let data = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], crc::masked(data).to_le_bytes());
        all.push(data.to_vec());
        rest = &rest[16 + length..];
    }
    all
}

fn contains(data: &[u8], part: &[u8]) -> bool {
    data.windows(part.len()).any(|w| w == part)
}

#[test]
fn events_become_records_under_their_tags() {
    let dir = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(dir.path(), 1000.5, "a host", 7).unwrap();
    board.record(1001.0, &Event::Step(Step { step: 3, loss: 2.5, ..Step::default() })).unwrap();
    board.record(1002.0, &Event::Eval(Eval { step: 3, val_loss: 2.25, val_bpb: Some(1.5), ..Eval::default() })).unwrap();
    board.record(1003.0, &Event::Sample(Sample { step: 3, text: "hello".into(), ..Sample::default() })).unwrap();
    let bytes = std::fs::read(dir.path().join("events.out.tfevents.0000001000.a_host.7")).unwrap();
    let records = records(&bytes);
    assert_eq!(records.len(), 5);
    assert!(contains(&records[0], b"brain.Event:2"));
    let mut value = b"train/loss\x15".to_vec();
    value.extend(2.5f32.to_le_bytes());
    assert!(contains(&records[1], &value));
    assert!(contains(&records[1], b"perf/tokens_per_second"));
    assert!(contains(&records[2], b"val/loss") && contains(&records[3], b"val/bpb"));
    assert!(contains(&records[4], b"hello"));
}

#[test]
fn the_settings_of_a_run_are_hparams() {
    let dir = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(dir.path(), 1000.0, "h", 7).unwrap();
    let settings = [("seed", Json::from(7)), ("steps", Json::Null), ("schedule", "cosine".into()), ("recompute", true.into())];
    board.settings(1001.0, &settings).unwrap();
    board.record(1002.0, &Event::Finished(Finished { status: "diverged".into(), ..Finished::default() })).unwrap();
    let records = records(&std::fs::read(dir.path().join("events.out.tfevents.0000001000.h.7")).unwrap());
    assert!(contains(&records[1], b"_hparams_/session_start_info") && contains(&records[1], b"\x0a\x07hparams"));
    let mut seed = b"\x0a\x04seed\x12\x09\x11".to_vec();
    seed.extend(7f64.to_le_bytes());
    assert!(contains(&records[1], &seed));
    assert!(contains(&records[1], b"\x0a\x08schedule\x12\x08\x1a\x06cosine"));
    assert!(contains(&records[1], b"\x0a\x09recompute\x12\x02\x20\x01"));
    assert!(!contains(&records[1], b"steps"), "what has no value is left out");
    assert!(contains(&records[2], b"_hparams_/session_end_info") && contains(&records[2], b"\x22\x0b\x08\x02\x11"));
}

#[test]
fn a_second_session_writes_its_own_file() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        TensorBoard::create(dir.path(), 1000.0, "h", 1).unwrap();
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn steps_wait_for_a_second_and_a_checkpoint_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(dir.path(), 1000.0, "host", 7).unwrap();
    let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let written = || records(&std::fs::read(&path).unwrap()).len();
    let step = |n| Event::Step(Step { step: n, ..Step::default() });
    board.record(1000.1, &step(1)).unwrap();
    board.record(1000.2, &step(2)).unwrap();
    assert_eq!(written(), 1, "the version");
    board.record(1001.1, &step(3)).unwrap();
    assert_eq!(written(), 4);
    board.record(1001.2, &step(4)).unwrap();
    board.record(1001.3, &Event::Saved(crate::events::Saved::default())).unwrap();
    assert_eq!(written(), 5);
    board.record(1001.4, &step(5)).unwrap();
    drop(board);
    assert_eq!(written(), 6);
}
