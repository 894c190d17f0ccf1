#![allow(clippy::unwrap_used)]
use super::*;
use crate::tokens::Width;
use std::collections::HashSet;
use std::path::PathBuf;

fn token_file(test: &str, ids: impl IntoIterator<Item = u16>) -> PathBuf {
    let path = crate::test_folder(test).join("tokens.bin");
    let bytes: Vec<u8> = ids.into_iter().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn raw(path: &std::path::Path, vocab: usize, compact: bool) -> Arc<Dataset> {
    let options = DatasetOptions { vocab_size: Some(vocab), compact, ..Default::default() };
    Arc::new(Dataset::open(path, options).unwrap())
}

fn options(seq_len: usize, order: Order, val_fraction: f64) -> LoaderOptions {
    LoaderOptions { seq_len, order, val_fraction, ..Default::default() }
}

#[test]
fn sequential_windows_are_the_documented_ones() {
    let data = raw(&token_file("sequential", 0..1000), 1000, true);
    let mut loader = Loader::new(data, options(8, Order::Sequential, 0.1)).unwrap();
    assert_eq!((loader.train_tokens(), loader.val_tokens()), (900, 100));
    assert_eq!(loader.train_windows(), 899 / 8);
    let mut batch = loader.batch(3);
    for step in 0..100u64 {
        loader.fill(&mut batch);
        for row in 0..3 {
            let k = (step * 3 + row) % 112;
            let want: Vec<u32> = (k as u32 * 8..k as u32 * 8 + 8).collect();
            let at = row as usize * 8;
            assert_eq!(batch.inputs[at..at + 8], want, "step {step}");
            assert!(batch.targets[at..at + 8].iter().zip(&want).all(|(t, i)| *t == i + 1));
        }
    }
    assert!(batch.starts.is_none());
    assert_eq!(loader.cursor(), 300);
}

#[test]
fn the_whole_file_trains_without_validation() {
    let data = raw(&token_file("whole", 0..17), 17, true);
    let mut loader = Loader::new(data, options(8, Order::Sequential, 0.0)).unwrap();
    assert_eq!((loader.train_tokens(), loader.train_windows(), loader.val_windows()), (17, 2, 0));
    let mut batch = loader.batch(2);
    loader.fill(&mut batch);
    assert_eq!(batch.targets[15], 16);
    assert_eq!(loader.val_bytes(), None);
    assert!(!loader.val_batches(4).next_into(&mut batch));
}

#[test]
fn validation_is_fixed_and_inside_its_split() {
    let path = token_file("validation", 0..5000);
    let collect = |seed: u64, max: Option<usize>| {
        let options = LoaderOptions { seed, max_val_windows: max, ..options(16, Order::Shuffled, 0.2) };
        let mut loader = Loader::new(raw(&path, 5000, true), options).unwrap();
        let (mut batch, mut inputs) = (loader.batch(7), Vec::new());
        let mut windows = loader.val_batches(7);
        while windows.next_into(&mut batch) {
            inputs.extend_from_slice(&batch.inputs);
            assert!(batch.targets.iter().zip(&batch.inputs).all(|(t, i)| *t == i + 1));
        }
        assert_eq!(inputs.len(), loader.val_windows() * 16);
        assert_eq!(loader.val_targets(), inputs.len() as u64);
        inputs
    };
    let all = collect(1, None);
    assert_eq!(all.len(), 999 / 16 * 16);
    assert_eq!(all, collect(2, None));
    assert_eq!((all[0], all.iter().max().copied().unwrap()), (4000, 4000 + 62 * 16 - 1));
    let few = collect(1, Some(10));
    assert_eq!(few.len(), 160);
    assert_eq!(few.iter().collect::<HashSet<_>>().len(), 160, "windows overlap");
    assert!(few.iter().any(|&id| id > 4800), "windows do not reach the end");
}

#[test]
fn a_short_validation_split_is_padded() {
    let data = raw(&token_file("short_validation", 0..40), 40, true);
    let mut loader = Loader::new(data, options(16, Order::Sequential, 0.1)).unwrap();
    let mut batch = loader.batch(1);
    assert_eq!((loader.val_windows(), loader.val_targets()), (1, 3));
    assert_eq!(loader.fill_val(0, 1, &mut batch), 1);
    assert_eq!(batch.loss_tokens(), 3);
    assert_eq!(batch.targets[..4], [37, 38, 39, IGNORE]);
}

#[test]
fn an_epoch_visits_each_window_once_and_epochs_differ() {
    let data = raw(&token_file("epochs", 0..2000), 2000, true);
    let mut loader = Loader::new(data, options(16, Order::Shuffled, 0.1)).unwrap();
    let windows = loader.train_windows();
    let mut batch = loader.batch(windows as usize);
    let mut phases = HashSet::new();
    let mut first = Vec::new();
    for epoch in 0..6 {
        loader.fill(&mut batch);
        let starts: Vec<u32> = batch.inputs.chunks(16).map(|w| w[0]).collect();
        let phase = starts[0] % 16;
        assert!(starts.iter().all(|s| s % 16 == phase) && batch.inputs.iter().all(|&id| id < 1800));
        assert_eq!(starts.iter().collect::<HashSet<_>>().len(), windows as usize);
        assert!(batch.targets.iter().all(|&id| id < 1800), "a target of the validation split");
        phases.insert(phase);
        if epoch == 0 { first = starts } else { assert_ne!(first, starts) }
    }
    assert!(phases.len() > 2, "{phases:?}");
}

#[test]
fn resuming_at_any_cursor_equals_never_stopping() {
    let path = token_file("resume", (0..3000).map(|i| i % 700));
    for order in [Order::Sequential, Order::Shuffled] {
        let mut whole = Loader::new(raw(&path, 700, true), options(16, order, 0.1)).unwrap();
        let mut batch = whole.batch(5);
        for _ in 0..80 {
            let cursor = whole.cursor();
            whole.fill(&mut batch);
            let mut resumed = Loader::new(raw(&path, 700, true), options(16, order, 0.1)).unwrap();
            resumed.seek(cursor);
            let mut again = resumed.batch(5);
            resumed.fill(&mut again);
            assert_eq!((&again, resumed.cursor()), (&batch, whole.cursor()));
        }
    }
}

#[test]
fn filling_allocates_nothing_new() {
    let data = raw(&token_file("allocation", 0..3000), 3000, true);
    let mut loader = Loader::new(data, options(16, Order::Shuffled, 0.1)).unwrap();
    let mut batch = loader.batch(4);
    let before = (batch.inputs.as_ptr(), batch.targets.as_ptr());
    (0..50).for_each(|_| loader.fill(&mut batch));
    assert_eq!((batch.inputs.as_ptr(), batch.targets.as_ptr()), before);
}

/// Documents of the given lengths, each ended by id 0, as a dataset whose end of text is 0.
fn documents(test: &str, lengths: &[u16]) -> Arc<Dataset> {
    let mut ids = Vec::new();
    for &n in lengths {
        ids.extend(1..=n);
        ids.push(0);
    }
    let tokenizer = Arc::new(crate::Tokenizer::train(&["a b"], 300).unwrap());
    let options = DatasetOptions { tokenizer: Some(tokenizer), compact: false, ..Default::default() };
    Arc::new(Dataset::open(&token_file(test, ids), options).unwrap())
}

#[test]
fn documents_are_packed_whole_and_see_only_themselves() {
    let data = documents("packing", &[3, 4, 20, 2, 2, 2]);
    let options = LoaderOptions { packing: Packing::Documents, ..options(8, Order::Sequential, 0.0) };
    let mut loader = Loader::new(data, options).unwrap();
    let rows = loader.train_windows() as usize;
    let mut batch = loader.batch(rows);
    loader.fill(&mut batch);
    let row = |v: &[u32], r: usize| v[r * 8..r * 8 + 8].to_vec();
    let starts = batch.starts.clone().unwrap();
    const I: u32 = IGNORE;
    // 3 tokens (nothing before them), then 4 with the end of text in front.
    assert_eq!(row(&batch.inputs, 0), [1, 2, 3, 0, 1, 2, 3, 4]);
    assert_eq!(row(&batch.targets, 0), [2, 3, 0, 1, 2, 3, 4, 0]);
    assert_eq!(row(&starts, 0), [0, 0, 0, 3, 3, 3, 3, 3]);
    // 20 tokens: two whole windows and a rest, which shares its window with the next document that fits.
    assert_eq!(row(&batch.inputs, 1), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(row(&batch.inputs, 2), [8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(row(&batch.inputs, 3), [16, 17, 18, 19, 20, 0, 1, 2]);
    assert_eq!(row(&starts, 3), [0, 0, 0, 0, 0, 5, 5, 5]);
    assert_eq!(row(&batch.inputs, 4)[..6], [0, 1, 2, 0, 1, 2]);
    assert_eq!(row(&batch.targets, 4), [1, 2, 0, 1, 2, 0, I, I]);
    assert_eq!(row(&starts, 4), [0, 0, 0, 3, 3, 3, 6, 7]);
    assert_eq!(rows, 5);
}

#[test]
fn packing_loses_no_target() {
    let lengths: Vec<u16> = (0..200).map(|i| (i * 37 % 50) as u16).collect();
    let data = documents("packing_all", &lengths);
    let n = data.tokens().len();
    let options = LoaderOptions { packing: Packing::Documents, ..options(16, Order::Shuffled, 0.0) };
    let mut loader = Loader::new(data, options).unwrap();
    let mut batch = loader.batch(loader.train_windows() as usize);
    loader.fill(&mut batch);
    assert_eq!(batch.loss_tokens() as u64, n - 1);
    let starts = batch.starts.unwrap();
    assert!(starts.chunks(16).all(|row| row.iter().enumerate().all(|(i, &s)| s as usize <= i)));
}

#[test]
fn compaction_maps_and_a_stored_map_is_kept() {
    let path = token_file("compaction", (0..500).map(|i| (i % 10) * 100));
    let data = raw(&path, 5000, true);
    assert_eq!((data.vocab().len(), data.vocab().full_vocab), (10, 5000));
    let mut loader = Loader::new(data.clone(), options(8, Order::Sequential, 0.0)).unwrap();
    let mut batch = loader.batch(1);
    loader.fill(&mut batch);
    assert_eq!(batch.inputs, [0, 1, 2, 3, 4, 5, 6, 7]);
    let with_map = |map, vocab| {
        let options = DatasetOptions { vocab_size: Some(vocab), map: Some(map), ..Default::default() };
        Dataset::open(&path, options)
    };
    assert_eq!(with_map(data.vocab().clone(), 5000).unwrap().vocab(), data.vocab());
    assert_eq!(with_map(data.vocab().clone(), 4000).unwrap_err().exit_code(), 65);
    let mut less = data.vocab().clone();
    less.full_of.pop();
    less.counts.pop();
    let error = with_map(less, 5000).unwrap_err().to_string();
    assert!(error.contains("token 9 (byte offset 18)") && error.contains("id 900"), "{error}");
}

#[test]
fn impossible_requests_are_refused() {
    let path = token_file("refused", 0..100);
    let code = |o: LoaderOptions| Loader::new(raw(&path, 100, true), o).unwrap_err().exit_code();
    assert_eq!(code(options(0, Order::Sequential, 0.1)), 2);
    assert_eq!(code(options(8, Order::Sequential, 1.0)), 2);
    assert_eq!(code(options(8, Order::Sequential, -0.1)), 2);
    assert_eq!(code(options(8, Order::Sequential, f64::NAN)), 2);
    assert_eq!(code(options(100, Order::Sequential, 0.0)), 65);
    assert_eq!(code(options(95, Order::Sequential, 0.1)), 65);
    assert_eq!(code(LoaderOptions { packing: Packing::Documents, ..options(8, Order::Sequential, 0.1) }), 65);
    assert!(Loader::new(raw(&path, 100, true), options(99, Order::Shuffled, 0.0)).is_ok());
    let inferred = Dataset::open(&path, DatasetOptions { width: Some(Width::U16), ..Default::default() }).unwrap();
    assert_eq!((inferred.vocab().full_vocab, inferred.notes().len()), (100, 1));
}
