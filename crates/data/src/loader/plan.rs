//! How a split of the tokens is cut into windows.

use super::{Batch, Dataset, Packing};
use crate::IGNORE;
use crate::error::{DataError, Place, Result};
use crate::mask::{END, LOSS};
use crate::rng::mix;
use std::sync::Arc;

/// The windows of one split.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    start: u64,
    len: u64,
    seq: u64,
    /// With documents packed: input positions `bounds[w] .. bounds[w + 1]` of window w. Shared between clones.
    bounds: Option<Arc<Vec<u64>>>,
}

impl Plan {
    pub(super) fn new(data: &Dataset, start: u64, len: u64, seq: usize, packing: Packing) -> Result<Self> {
        let mut plan = Self { start, len, seq: seq as u64, bounds: None };
        if packing == Packing::Documents {
            let Some(eot) = data.eot() else {
                let expected = "an end-of-text token, to pack whole documents";
                return Err(DataError::bad(data.tokens().name(), Place::File, expected, "no tokenizer that names one"));
            };
            plan.bounds = Some(Arc::new(bounds(data, eot, start, len, seq as u64)?));
        }
        Ok(plan)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Windows on the grid without a phase. A split shorter than a window and of two tokens at least has one, padded.
    pub(super) fn windows(&self) -> u64 {
        match &self.bounds {
            Some(bounds) => bounds.len() as u64 - 1,
            None if self.len < 2 => 0,
            None => ((self.len - 1) / self.seq).max(1),
        }
    }

    /// Windows that fit under every phase of the grid.
    pub(super) fn shifted_windows(&self) -> u64 {
        match &self.bounds {
            Some(_) => self.windows(),
            None => (self.len.saturating_sub(self.seq) / self.seq).max(1),
        }
    }

    /// The shift of the grid that `key` gives.
    pub(super) fn phase(&self, key: u64) -> u64 {
        if self.bounds.is_some() {
            return 0;
        }
        let slack = self.len - 1 - self.shifted_windows() * self.seq;
        mix(key) % (slack + 1).min(self.seq)
    }

    /// First input position and number of inputs of a window.
    pub(super) fn span(&self, window: u64, phase: u64) -> (u64, u64) {
        match &self.bounds {
            Some(bounds) => {
                let (a, b) = (bounds[window as usize], bounds[window as usize + 1]);
                (a, b - a)
            }
            None => {
                let offset = phase + window * self.seq;
                (self.start + offset, self.seq.min(self.len - 1 - offset))
            }
        }
    }

    /// Whether a target of a window carries loss.
    pub(super) fn learns(&self, data: &Dataset, window: u64, phase: u64) -> bool {
        let (start, count) = self.span(window, phase);
        data.any_loss(start + 1, count)
    }

    /// Writes a window into row `row`; `scratch` holds `seq + 1` tokens.
    pub(super) fn fill(&self, data: &Dataset, window: u64, phase: u64, batch: &mut Batch, row: usize, scratch: &mut [u32]) {
        let (start, count) = self.span(window, phase);
        let (count, seq) = (count as usize, self.seq as usize);
        data.read_compact(start, &mut scratch[..=count]);
        let at = row * seq;
        let inputs = &mut batch.inputs[at..at + seq];
        inputs[..count].copy_from_slice(&scratch[..count]);
        inputs[count..].fill(data.pad());
        let targets = &mut batch.targets[at..at + seq];
        targets[..count].copy_from_slice(&scratch[1..=count]);
        targets[count..].fill(IGNORE);
        let starts = batch.starts.as_mut().map(|starts| &mut starts[at..at + seq]);
        if let Some(mask) = data.mask() {
            let flags = mask.flags(start, count + 1);
            hide(targets, flags);
            if let Some(starts) = starts {
                fill_starts(starts, |i| i >= count || flags.get(i).is_some_and(|b| b & END != 0));
            }
        } else if let (Some(starts), Some(eot)) = (starts, data.eot_compact()) {
            fill_starts(starts, |i| scratch[..count].get(i).is_none_or(|&id| id == eot));
        }
    }
}

/// Takes the loss from targets without it; `flags` are those of the inputs and the one token after them.
fn hide(targets: &mut [u32], flags: &[u8]) {
    for (target, flag) in targets.iter_mut().zip(flags.iter().skip(1)) {
        if flag & LOSS == 0 {
            *target = IGNORE;
        }
    }
}

/// A document begins at the end of text before it, which is what a prompt begins with, too. Padding sees only itself; `begins`
/// is true for both.
fn fill_starts(starts: &mut [u32], begins: impl Fn(usize) -> bool) {
    let mut first = 0;
    for (i, start) in starts.iter_mut().enumerate() {
        if begins(i) {
            first = i as u32;
        }
        *start = first;
    }
}

/// Greedy packing in file order. A document's inputs run from the end of text before it to its last token; its
/// targets end with its own end of text. One longer than a window is cut into whole windows and a rest.
fn bounds(data: &Dataset, eot: u32, start: u64, len: u64, seq: u64) -> Result<Vec<u64>> {
    let mut bounds = vec![start];
    if len < 2 {
        return Ok(bounds);
    }
    let end = start + len - 1; // one past the last input
    let (mut window, mut document) = (start, start);
    let mut close = |document: u64, until: u64| {
        // The document at `document .. until` goes into the open window, or opens the next ones.
        if until - window > seq && document > window {
            bounds.push(document);
            window = document;
        }
        while until - window > seq {
            window += seq;
            bounds.push(window);
        }
    };
    data.tokens().for_each_block(|at, block| {
        for (i, &id) in block.iter().enumerate() {
            let position = at + i as u64;
            let ends = data.mask().map_or(id == eot, |mask| mask.ends_document(position));
            if ends && position > start && position < end {
                close(document, position);
                document = position;
            }
        }
        Ok(())
    })?;
    close(document, end);
    bounds.push(end);
    Ok(bounds)
}
