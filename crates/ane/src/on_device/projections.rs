//! Projections on a device, forward and back: which kernels, and which columns of the walk's rows they read and write.

use engine::blocks::Projection;
use model::ModelSpec;

use super::OnDevice;
use crate::Device;
use crate::staging::Rows;
use crate::unit::{In, Out};

/// Columns of a row of activations: which of its parts.
#[derive(Clone, Copy)]
enum Columns {
    /// The whole row, or its first part.
    First,
    /// Keys, behind the queries.
    Keys,
    /// Values, behind the keys.
    Values,
    /// The product of the up projection, behind that of the gate.
    Up,
}

impl Columns {
    fn offset(self, spec: &ModelSpec) -> usize {
        match self {
            Columns::First => 0,
            Columns::Keys => spec.q_dim(),
            Columns::Values => spec.q_dim() + spec.kv_dim(),
            Columns::Up => spec.hidden,
        }
    }
}

/// A kernel, the fields that it reads from the rows of the input, and those that go into the rows of the output.
struct Step {
    kernel: &'static str,
    reads: &'static [(&'static str, Columns)],
    writes: &'static [(&'static str, Columns)],
}

const WHOLE: (&str, Columns) = ("y", Columns::First);

/// Ways to project forward, the first that is there is taken.
const PROJECT: &[(Projection, &[Step])] = &[
    (Projection::Qkv, &[Step { kernel: "wqkv", reads: &[("xnorm", Columns::First)], writes: &[WHOLE] }]),
    (Projection::Qkv, &[Step { kernel: "qkv_conv", reads: &[("xnorm", Columns::First)], writes: &[WHOLE] }]),
    (
        Projection::Qkv,
        &[
            Step { kernel: "wq", reads: &[("xnorm", Columns::First)], writes: &[WHOLE] },
            Step { kernel: "wkv", reads: &[("xnorm", Columns::First)], writes: &[("y", Columns::Keys)] },
        ],
    ),
    (
        Projection::Qkv,
        &[
            Step { kernel: "wq", reads: &[("xnorm", Columns::First)], writes: &[WHOLE] },
            Step { kernel: "wk", reads: &[("xnorm", Columns::First)], writes: &[("y", Columns::Keys)] },
            Step { kernel: "wv", reads: &[("xnorm", Columns::First)], writes: &[("y", Columns::Values)] },
        ],
    ),
    (Projection::O, &[Step { kernel: "wo", reads: &[("attn", Columns::First)], writes: &[WHOLE] }]),
    (Projection::O, &[Step { kernel: "wo_fwd", reads: &[("attn", Columns::First)], writes: &[("out", Columns::First)] }]),
    (Projection::GateUp, &[Step { kernel: "w13", reads: &[("x2norm", Columns::First)], writes: &[WHOLE] }]),
    (
        Projection::GateUp,
        &[
            Step { kernel: "w1", reads: &[("x2norm", Columns::First)], writes: &[WHOLE] },
            Step { kernel: "w3", reads: &[("x2norm", Columns::First)], writes: &[("y", Columns::Up)] },
        ],
    ),
    (Projection::Down, &[Step { kernel: "w2", reads: &[("act", Columns::First)], writes: &[WHOLE] }]),
];

const DX: &[(&str, Columns)] = &[("dx", Columns::First)];

/// Ways to bring a gradient back; what later steps of one way write is added.
const PROJECT_BACK: &[(Projection, &[Step])] = &[
    (
        Projection::Qkv,
        &[Step {
            kernel: "qkv_bwd",
            reads: &[("dq", Columns::First), ("dk", Columns::Keys), ("dv", Columns::Values)],
            writes: DX,
        }],
    ),
    (
        Projection::Qkv,
        &[
            Step { kernel: "q_bwd", reads: &[("dq", Columns::First)], writes: DX },
            Step { kernel: "kv_bwd", reads: &[("dk", Columns::Keys), ("dv", Columns::Values)], writes: DX },
        ],
    ),
    (Projection::O, &[Step { kernel: "wot_bwd", reads: &[("dout", Columns::First)], writes: &[("da", Columns::First)] }]),
    (
        Projection::Down,
        &[Step { kernel: "ffn_bwd_w2t", reads: &[("dffn", Columns::First)], writes: &[("dact", Columns::First)] }],
    ),
    (Projection::GateUp, &[Step { kernel: "ffn_bwd_w13t", reads: &[("dh1", Columns::First), ("dh3", Columns::Up)], writes: DX }]),
];

/// Kernels of each way to project forward, for the table of placements.
pub(super) const FORWARD: &[&[&str]] = &[
    &["wqkv", "wo", "w13", "w2"],
    &["wq", "wkv", "wo", "w13", "w2"],
    &["wq", "wk", "wv", "wo", "w1", "w3", "w2"],
    &["qkv_conv", "wo"],
    &["wo_fwd"],
];

impl<D: Device> OnDevice<D> {
    /// Projects as many windows as it can, from the first on; gives how many.
    pub(super) fn project_windows(&mut self, spec: &ModelSpec, l: usize, which: Projection, x: &[f32], y: &mut [f32]) -> usize {
        let (out, inner) = which.shape(spec);
        self.windows(spec, l, (PROJECT, which, false), (x, inner), (y, out))
    }

    /// As [`Self::project_windows`], for gradients.
    pub(super) fn project_back_windows(
        &mut self,
        spec: &ModelSpec,
        l: usize,
        which: Projection,
        dy: &[f32],
        dx: &mut [f32],
    ) -> usize {
        let (out, inner) = which.shape(spec);
        self.windows(spec, l, (PROJECT_BACK, which, true), (dy, out), (dx, inner))
    }

    fn windows(
        &mut self,
        spec: &ModelSpec,
        l: usize,
        (table, which, gradient): (&'static [(Projection, &'static [Step])], Projection, bool),
        (x, from): (&[f32], usize),
        (y, to): (&mut [f32], usize),
    ) -> usize {
        let way = table.iter().find(|(w, steps)| *w == which && steps.iter().all(|s| self.has(s.kernel)));
        let Some((_, steps)) = way.filter(|_| (x.len() / from).is_multiple_of(self.seq)) else { return 0 };
        let windows = x.len() / from / self.seq;
        for w in 0..windows {
            let rows = &x[w * self.seq * from..];
            let written = &mut y[w * self.seq * to..];
            for (i, step) in steps.iter().enumerate() {
                let input = |&(field, columns): &(&'static str, Columns)| In {
                    field,
                    rows: Rows { data: rows, stride: from, offset: columns.offset(spec) },
                    gradient,
                };
                let output = |&(field, columns): &(&'static str, Columns)| Out {
                    field,
                    port: None,
                    to: 0,
                    offset: columns.offset(spec),
                    gradient,
                    add: gradient && i > 0,
                };
                let (ins, outs) = (step.reads.iter().map(input), step.writes.iter().map(output));
                let (ins, outs): (Vec<_>, Vec<_>) = (ins.collect(), outs.collect());
                if !self.run(step.kernel, l, &ins, &outs, &mut [(&mut *written, to)]) {
                    return w;
                }
            }
        }
        windows
    }
}
