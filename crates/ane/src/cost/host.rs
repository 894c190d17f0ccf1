//! What the host does in a step beside the dispatches: products of matrices and passes over elements, counted.

use model::ModelSpec;

use crate::Pipeline;

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Forward and backward pass over one window.
    Backprop,
    /// So many forward passes, as zeroth-order methods need.
    Forwards(usize),
}

/// Work of the host in a step over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostWork {
    /// Arithmetic in products of matrices.
    pub gemm_flops: f64,
    /// Elements that passes over arrays touch.
    pub elements: f64,
}

/// Which parts of a step the device takes; the host has the rest.
struct Taken {
    projections: bool,
    attention: bool,
    activation: bool,
    backward: bool,
    silu_backward: bool,
    classifier: bool,
    frozen: bool,
}

fn taken(pipeline: Option<Pipeline>) -> Taken {
    let none = Taken {
        projections: false,
        attention: false,
        activation: false,
        backward: false,
        silu_backward: false,
        classifier: false,
        frozen: false,
    };
    let forward = Taken { projections: true, attention: true, activation: true, ..none };
    match pipeline {
        None => none,
        Some(Pipeline::MatmulOnly) => Taken { projections: true, ..none },
        Some(Pipeline::Conv) => Taken { projections: true, frozen: true, ..none },
        Some(Pipeline::ConvFused) => Taken { projections: true, activation: true, frozen: true, ..none },
        Some(Pipeline::DynamicCpuBwd) => forward,
        Some(Pipeline::Dynamic) => Taken { backward: true, ..forward },
        Some(Pipeline::Static) => Taken { backward: true, silu_backward: true, ..forward },
        Some(Pipeline::StaticExtras) => Taken { backward: true, silu_backward: true, classifier: true, ..forward },
    }
}

/// Arithmetic of the projections of all layers, forward.
fn projection_flops(spec: &ModelSpec, seq: usize) -> f64 {
    let weights = spec.dim * spec.qkv_dim() + spec.q_dim() * spec.dim + 3 * spec.dim * spec.hidden;
    2.0 * (spec.layers * seq) as f64 * weights as f64
}

/// Arithmetic of attention of one layer, forward: scores and mixed values.
fn attention_flops(spec: &ModelSpec, seq: usize) -> f64 {
    4.0 * (spec.q_dim() * seq) as f64 * seq as f64
}

impl HostWork {
    /// Work of the host when `pipeline` runs (none: everything on the host) over `seq` tokens. Passes, by array: a norm
    /// reads twice forward and four times backward, a residual sum four times; SiLU two forward, six backward; softmax of the
    /// scores six each way; the loss four over the logits, one of them left when the device takes the classifier.
    pub fn of(pipeline: Option<Pipeline>, spec: &ModelSpec, seq: usize, method: Method) -> HostWork {
        let taken = taken(pipeline);
        let (stream, middle) = ((spec.dim * seq * spec.layers) as f64, (spec.hidden * seq * spec.layers) as f64);
        let scores = (spec.heads * seq) as f64 * (seq * spec.layers) as f64;
        let classifier = 2.0 * (spec.vocab * spec.dim) as f64 * seq as f64;
        let (projections, attention) = (projection_flops(spec, seq), attention_flops(spec, seq) * spec.layers as f64);
        let unless = |taken: bool, work: f64| if taken { 0.0 } else { work };
        let forward = HostWork {
            gemm_flops: unless(taken.projections, projections)
                + unless(taken.attention, attention)
                + unless(taken.classifier, classifier),
            elements: 6.0 * stream + unless(taken.activation, 2.0 * middle) + unless(taken.attention, 6.0 * scores),
        };
        let backward = HostWork {
            gemm_flops: unless(taken.backward, projections + 2.5 * attention)
                + unless(taken.frozen, projections)
                + 2.0 * classifier,
            elements: 10.0 * stream + unless(taken.silu_backward, 6.0 * middle) + unless(taken.backward, 6.0 * scores),
        };
        let loss = if taken.classifier { 1.0 } else { 4.0 } * (spec.vocab * seq) as f64;
        match method {
            Method::Backprop => HostWork {
                gemm_flops: forward.gemm_flops + backward.gemm_flops,
                elements: forward.elements + backward.elements + loss,
            },
            Method::Forwards(n) => {
                HostWork { gemm_flops: n as f64 * forward.gemm_flops, elements: n as f64 * (forward.elements + loss) }
            }
        }
    }
}
