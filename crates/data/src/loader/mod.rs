//! Token file to batches. What a batch holds is a pure function of (data, options, position): the state of a loader is
//! one number, so resuming is exact.

mod dataset;
mod permute;
mod plan;

pub use dataset::{Dataset, DatasetOptions};

use crate::IGNORE;
use crate::error::{DataError, Result};
use crate::mask::LOSS;
use crate::rng::mix2;
use plan::Plan;
use std::sync::Arc;

/// In which order training windows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Window k reads inputs `tokens[kS .. kS+S]` and targets one later, from the start of the training split; after
    /// the last window comes the first again.
    Sequential,
    /// Each epoch is a new permutation of the windows, whose grid is shifted by a new phase.
    Shuffled,
}

/// How documents share windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Windows cut the stream of tokens anywhere; a token attends to all before it in the window.
    Stream,
    /// Windows hold whole documents (those longer than a window are cut); each attends only to itself.
    Documents,
}

/// What a loader does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderOptions {
    /// Tokens of a window, S.
    pub seq_len: usize,
    /// Order of training windows.
    pub order: Order,
    /// Packing of documents.
    pub packing: Packing,
    /// Share of the tokens, at the end of the file, kept for validation; 0 trains on all.
    pub val_fraction: f64,
    /// Most validation windows, evenly spaced; `None` takes every one.
    pub max_val_windows: Option<usize>,
    /// Seed of permutations and phases; validation does not depend on it.
    pub seed: u64,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self {
            seq_len: 128,
            order: Order::Shuffled,
            packing: Packing::Stream,
            val_fraction: 0.1,
            max_val_windows: None,
            seed: 42,
        }
    }
}

/// Windows of one step, in compact ids; reused from step to step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Windows.
    pub rows: usize,
    /// Tokens of a window.
    pub seq: usize,
    /// `[rows, seq]`.
    pub inputs: Vec<u32>,
    /// `[rows, seq]`, the token after each input, or [`IGNORE`].
    pub targets: Vec<u32>,
    /// `[rows, seq]`: index within the window of the first token that each token may attend to. `None`: all 0.
    pub starts: Option<Vec<u32>>,
}

impl Batch {
    /// Tokens that carry loss.
    pub fn loss_tokens(&self) -> usize {
        self.targets.iter().filter(|&&t| t != IGNORE).count()
    }

    /// Sets the shape; allocates only when it grows.
    pub fn reshape(&mut self, rows: usize, seq: usize, with_starts: bool) {
        (self.rows, self.seq) = (rows, seq);
        self.inputs.resize(rows * seq, 0);
        self.targets.resize(rows * seq, IGNORE);
        match (&mut self.starts, with_starts) {
            (Some(starts), true) => starts.resize(rows * seq, 0),
            (starts, true) => *starts = Some(vec![0; rows * seq]),
            (starts, false) => *starts = None,
        }
    }
}

/// Cuts a [`Dataset`] into batches.
#[derive(Debug, Clone)]
pub struct Loader {
    data: Arc<Dataset>,
    options: LoaderOptions,
    train: Plan,
    val: Plan,
    /// The validation windows that are read, in order.
    val_windows: Arc<Vec<u64>>,
    cursor: u64,
    scratch: Vec<u32>,
}

impl Loader {
    /// A loader at position 0.
    ///
    /// # Errors
    /// [`DataError::Usage`] for impossible options, [`DataError::Bad`] when the training split is shorter than a
    /// window, or documents are asked for without an end-of-text token.
    pub fn new(data: Arc<Dataset>, options: LoaderOptions) -> Result<Self> {
        let s = options.seq_len;
        if s == 0 || s >= u32::MAX as usize {
            return Err(DataError::Usage(format!("a sequence has at least one token, not {s}")));
        }
        if !(0.0..1.0).contains(&options.val_fraction) {
            let f = options.val_fraction;
            return Err(DataError::Usage(format!("the validation fraction is at least 0 and below 1, not {f}")));
        }
        let n = data.tokens().len();
        data.tokens().check_window(s)?;
        let train_len = ((1.0 - options.val_fraction) * n as f64).floor() as u64;
        if train_len < s as u64 + 1 {
            return Err(data.too_short(train_len, s));
        }
        let train = Plan::new(&data, 0, train_len, s, options.packing)?;
        let val = Plan::new(&data, train_len, n - train_len, s, options.packing)?;
        if data.mask().is_some() && !(0..train.windows()).any(|w| train.learns(&data, w, 0)) {
            return Err(data.learns_nothing("training"));
        }
        let val_windows = Arc::new(val_windows(&data, &val, options.max_val_windows)?);
        Ok(Self { data, options, train, val, val_windows, cursor: 0, scratch: vec![0; s + 1] })
    }

    /// An empty batch of the right shape.
    pub fn batch(&self, rows: usize) -> Batch {
        let mut batch = Batch::default();
        batch.reshape(rows, self.options.seq_len, self.options.packing == Packing::Documents);
        batch
    }

    /// Fills `batch` with the next `batch.rows` training windows that carry loss and moves on.
    pub fn fill(&mut self, batch: &mut Batch) {
        self.cursor = self.fill_at(self.cursor, batch);
    }

    /// Fills `batch` with the training windows at `position ..` that carry loss, and gives the position after the last of them;
    /// the loader stays where it is.
    pub fn fill_at(&mut self, position: u64, batch: &mut Batch) -> u64 {
        batch.reshape(batch.rows, self.options.seq_len, self.options.packing == Packing::Documents);
        let mut next = position;
        for row in 0..batch.rows {
            next = self.skip_unlearned(next);
            let (window, phase) = self.train_window(next);
            self.train.fill(&self.data, window, phase, batch, row, &mut self.scratch);
            next += 1;
        }
        next
    }

    /// Fills `batch` with the one training window `window` of the grid without a phase, whether it carries loss or not.
    pub fn fill_window(&mut self, window: u64, batch: &mut Batch) {
        batch.reshape(1, self.options.seq_len, self.options.packing == Packing::Documents);
        self.train.fill(&self.data, window.min(self.train.windows() - 1), 0, batch, 0, &mut self.scratch);
    }

    /// The first position from `position` on whose window carries loss. Some window of the grid without a phase does; phases
    /// that leave out every one for two epochs give a window without loss, which changes no gradient.
    fn skip_unlearned(&self, position: u64) -> u64 {
        if self.data.mask().is_none() {
            return position;
        }
        let learns = |&at: &u64| {
            let (window, phase) = self.train_window(at);
            self.train.learns(&self.data, window, phase)
        };
        let far = position.saturating_add(self.train_windows().saturating_mul(2));
        (position..far).find(learns).unwrap_or(position)
    }

    /// Window and phase at a position: a pure function.
    fn train_window(&self, position: u64) -> (u64, u64) {
        let windows = self.train_windows();
        let (epoch, index) = (position / windows, position % windows);
        match self.options.order {
            Order::Sequential => (index, 0),
            Order::Shuffled => {
                let key = mix2(self.options.seed, epoch);
                (permute::permute(index, windows, key), self.train.phase(key))
            }
        }
    }

    /// The position of the next batch: the whole state of the loader.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Goes to a position.
    pub fn seek(&mut self, cursor: u64) {
        self.cursor = cursor;
    }

    /// Training windows of one epoch.
    pub fn train_windows(&self) -> u64 {
        match self.options.order {
            Order::Sequential => self.train.windows(),
            Order::Shuffled => self.train.shifted_windows(),
        }
    }

    /// Tokens of the training split.
    pub fn train_tokens(&self) -> u64 {
        self.train.len()
    }

    /// Tokens of the validation split.
    pub fn val_tokens(&self) -> u64 {
        self.val.len()
    }

    /// Validation windows, the same for every seed; 0 when nothing is kept for validation.
    pub fn val_windows(&self) -> usize {
        self.val_windows.len()
    }

    /// Fills `batch` with up to `rows` validation windows from number `first` on and sets its rows; returns them.
    pub fn fill_val(&mut self, first: usize, rows: usize, batch: &mut Batch) -> usize {
        let rows = rows.min(self.val_windows.len().saturating_sub(first));
        batch.reshape(rows, self.options.seq_len, self.options.packing == Packing::Documents);
        for row in 0..rows {
            let window = self.val_windows[first + row];
            self.val.fill(&self.data, window, 0, batch, row, &mut self.scratch);
        }
        rows
    }

    /// The validation batches of at most `rows` windows, in a fixed order.
    pub fn val_batches(&mut self, rows: usize) -> ValBatches<'_> {
        ValBatches { loader: self, rows: rows.max(1), next: 0 }
    }

    /// Validation targets that carry loss.
    pub fn val_targets(&self) -> u64 {
        let count = |(start, count): (u64, u64)| match self.data.mask() {
            Some(mask) => mask.flags(start + 1, count as usize).iter().map(|b| u64::from(b & LOSS)).sum(),
            None => count,
        };
        self.val_windows.iter().map(|&window| count(self.val.span(window, 0))).sum()
    }

    /// UTF-8 bytes of the text behind the validation targets that carry loss (special tokens count 0); `None` without a
    /// tokenizer.
    pub fn val_bytes(&self) -> Option<u64> {
        let tokenizer = self.data.tokenizer()?;
        let mut buffer = vec![0u32; self.options.seq_len];
        let mut bytes = 0;
        for &window in self.val_windows.iter() {
            let (start, count) = self.val.span(window, 0);
            let targets = &mut buffer[..count as usize];
            self.data.tokens().read(start + 1, targets);
            let flags = self.data.mask().map(|mask| mask.flags(start + 1, count as usize));
            let learned = |i: usize| flags.is_none_or(|flags| flags.get(i).is_some_and(|b| b & LOSS != 0));
            let counted = targets.iter().enumerate().filter(|(i, _)| learned(*i));
            bytes += counted.map(|(_, &id)| tokenizer.token_bytes(id) as u64).sum::<u64>();
        }
        Some(bytes)
    }

    /// The data.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.data
    }

    /// The options.
    pub fn options(&self) -> &LoaderOptions {
        &self.options
    }
}

/// At most `most` evenly spaced windows of those that carry loss.
fn val_windows(data: &Dataset, val: &Plan, most: Option<usize>) -> Result<Vec<u64>> {
    let all = val.windows();
    let learned: Option<Vec<u64>> = data.mask().map(|_| (0..all).filter(|&w| val.learns(data, w, 0)).collect());
    let count = learned.as_ref().map_or(all, |list| list.len() as u64);
    if count == 0 && all > 0 {
        return Err(data.learns_nothing("validation"));
    }
    let read = most.map_or(count, |most| count.min(most as u64));
    let pick = |j: u64| (u128::from(count) * u128::from(j) / u128::from(read)) as u64;
    Ok((0..read).map(|j| learned.as_ref().map_or(pick(j), |list| list[pick(j) as usize])).collect())
}

/// The validation windows, batch by batch.
#[derive(Debug)]
pub struct ValBatches<'a> {
    loader: &'a mut Loader,
    rows: usize,
    next: usize,
}

impl ValBatches<'_> {
    /// Fills `batch` with the next windows; false when there are none left. The last batch may have fewer rows.
    pub fn next_into(&mut self, batch: &mut Batch) -> bool {
        let rows = self.loader.fill_val(self.next, self.rows, batch);
        self.next += rows;
        rows > 0
    }
}

#[cfg(test)]
mod tests;
