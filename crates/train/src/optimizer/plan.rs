//! Which weights a rule updates, in pieces that are its tasks: a list made once, so that a step is one dispatch.

use std::ops::Range;

use kernels::gemm::Cpu;
use model::TensorInfo;

use super::CHUNK;

/// Weights that are updated together.
pub(super) struct Piece {
    /// First weight, in the flat array.
    pub start: usize,
    len: usize,
    /// Whether weight decay applies.
    pub decays: bool,
}

/// All weights of a rule. Their state lies without gaps, in the same order.
pub(super) struct Plan {
    pieces: Vec<Piece>,
    /// Where piece `i` begins in the weights and in each state array (0 for those that the rule does not have); weights
    /// between two pieces belong to the first and are left alone.
    bounds: Vec<[usize; 3]>,
    len: usize,
}

impl Plan {
    /// The weights of `tensors`, in order, without those in `idle`, which are increasing ranges; for a rule with `states`
    /// state arrays, at most two.
    pub(super) fn of<'a>(tensors: impl Iterator<Item = &'a TensorInfo>, idle: &[Range<usize>], states: usize) -> Plan {
        let mut live: Vec<(Range<usize>, bool)> = Vec::new();
        for tensor in tensors {
            let decays = tensor.role.decays();
            for range in without(tensor.range.clone(), idle) {
                match live.last_mut() {
                    Some((last, same)) if last.end == range.start && *same == decays => last.end = range.end,
                    _ => live.push((range, decays)),
                }
            }
        }
        let mut plan = Plan { pieces: Vec::new(), bounds: Vec::new(), len: 0 };
        let bound = |start, state| [start, if states > 0 { state } else { 0 }, if states > 1 { state } else { 0 }];
        for (range, decays) in &live {
            for start in range.clone().step_by(CHUNK) {
                let len = CHUNK.min(range.end - start);
                plan.bounds.push(bound(start, plan.len));
                plan.pieces.push(Piece { start, len, decays: *decays });
                plan.len += len;
            }
        }
        plan.bounds.push(bound(live.last().map_or(0, |(range, _)| range.end), plan.len));
        plan
    }

    /// Weights that are updated: the length of a state array.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Calls `f(piece, weights, a, b)` for every piece, `a` and `b` its part of the state arrays; one that the rule does not
    /// have is empty.
    pub(super) fn each(
        &self,
        cpu: &Cpu,
        params: &mut [f32],
        [a, b]: [&mut [f32]; 2],
        f: impl Fn(&Piece, &mut [f32], &mut [f32], &mut [f32]) + Sync,
    ) {
        cpu.pool().ragged_mut3(&self.bounds, [params, a, b], |i, w, a, b| {
            let piece = &self.pieces[i];
            f(piece, &mut w[..piece.len], a, b);
        });
    }
}

/// The parts of `range` that are not in `idle`.
fn without(range: Range<usize>, idle: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut parts, mut at) = (Vec::new(), range.start);
    for gap in idle.iter().filter(|gap| gap.start < range.end && gap.end > range.start) {
        if at < gap.start {
            parts.push(at..gap.start);
        }
        at = at.max(gap.end);
    }
    if at < range.end {
        parts.push(at..range.end);
    }
    parts
}
