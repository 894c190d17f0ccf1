//! The kernels of the published systems, by their sizes: what the published times are times of.

use model::ModelSpec;

use super::Call;
use super::host::attention_flops;
use crate::Pipeline;

/// Extents of a model over a window.
struct Sizes {
    d: usize,
    f: usize,
    q: usize,
    kv: usize,
    s: usize,
    scores: usize,
    attention: f64,
}

/// Where the weights of a kernel lie.
#[derive(Clone, Copy)]
enum Weights {
    Baked,
    Packed,
    Parameters,
}

/// A kernel: name, elements in, elements of weights, elements out, arithmetic beside that of the weights.
type Row = (&'static str, usize, usize, usize, f64);

/// The kernels of `pipeline` over `seq` tokens, those of the published systems. `parameters`: weights lie in surfaces of
/// their own where they would be packed.
pub fn calls(pipeline: Pipeline, spec: &ModelSpec, seq: usize, parameters: bool) -> Vec<Call> {
    let sizes = Sizes {
        d: spec.dim,
        f: spec.hidden,
        q: spec.q_dim(),
        kv: spec.kv_dim(),
        s: seq,
        scores: spec.heads * seq,
        attention: attention_flops(spec, seq),
    };
    let staged = if parameters { Weights::Parameters } else { Weights::Packed };
    let layers = spec.layers;
    let each = |rows: Vec<Row>, weights| rows.into_iter().map(move |row| call(row, weights, layers, seq)).collect::<Vec<_>>();
    match pipeline {
        Pipeline::MatmulOnly => each(matmul_only(&sizes), staged),
        Pipeline::Conv => {
            let (dynamic, baked) = matmul_only(&sizes).into_iter().partition(|row| matches!(row.0, "wk" | "wv"));
            [each(baked, Weights::Baked), each(dynamic, staged)].concat()
        }
        Pipeline::ConvFused => each(conv_fused(&sizes), Weights::Baked),
        Pipeline::DynamicCpuBwd => each(dynamic(&sizes).into_iter().take(3).collect(), staged),
        Pipeline::Dynamic => each(dynamic(&sizes), staged),
        Pipeline::Static => each(baked(&sizes), Weights::Baked),
        Pipeline::StaticExtras => [each(baked(&sizes), Weights::Baked), extras(spec, seq)].concat(),
    }
}

fn call((name, written, weights, read, flops): Row, place: Weights, layers: usize, seq: usize) -> Call {
    let bytes = weights as f64 * 2.0;
    let of = |here: bool| if here { bytes } else { 0.0 };
    let bakes_weights = matches!(place, Weights::Baked) && weights > 0;
    Call {
        name: name.to_owned(),
        dispatches: layers,
        programs: if bakes_weights { layers } else { 1 },
        bakes_weights,
        baked_bytes: of(matches!(place, Weights::Baked)),
        packed_bytes: of(matches!(place, Weights::Packed)),
        parameter_bytes: of(matches!(place, Weights::Parameters)),
        written_bytes: written as f64 * 2.0,
        read_bytes: read as f64 * 2.0,
        flops: 2.0 * (weights * seq) as f64 + flops,
    }
}

fn matmul_only(z: &Sizes) -> Vec<Row> {
    let row = |name, inputs: usize, outputs: usize| (name, inputs * z.s, inputs * outputs, outputs * z.s, 0.0);
    vec![
        row("wq", z.d, z.q),
        row("wk", z.d, z.kv),
        row("wv", z.d, z.kv),
        row("wo", z.q, z.d),
        row("w1", z.d, z.f),
        row("w3", z.d, z.f),
        row("w2", z.f, z.d),
    ]
}

fn conv_fused(z: &Sizes) -> Vec<Row> {
    vec![
        ("qkv_conv", z.d * z.s, z.d * (z.q + 2 * z.kv), (z.q + 2 * z.kv) * z.s, 0.0),
        ("wo_conv", z.q * z.s, z.q * z.d, z.d * z.s, 0.0),
        ("ffn_conv", 2 * z.d * z.s, 3 * z.d * z.f, z.d * z.s, 0.0),
    ]
}

fn dynamic(z: &Sizes) -> Vec<Row> {
    let s = z.s;
    vec![
        ("sdpa_fwd", z.d * s, z.d * (z.q + 2 * z.kv), (2 * z.q + 2 * z.kv + z.d) * s, z.attention),
        ("wo_fwd", z.q * s, z.q * z.d, z.d * s, 0.0),
        ("ffn_fused", 2 * z.d * s, 3 * z.d * z.f, (z.d + 3 * z.f) * s, 0.0),
        ("ffn_bwd_w2t", z.d * s, z.d * z.f, z.f * s, 0.0),
        ("ffn_bwd_w13t", 2 * z.f * s, 2 * z.d * z.f, z.d * s, 0.0),
        ("wot_bwd", z.d * s, z.d * z.q, z.q * s, 0.0),
        ("sdpa_bwd1", 4 * z.q * s, 0, (z.q + 2 * z.scores) * s, 2.0 * z.attention),
        ("sdpa_bwd2", (2 * z.scores + 2 * z.q) * s, 0, 2 * z.q * s, z.attention),
        ("q_bwd", z.q * s, z.q * z.d, z.d * s, 0.0),
        ("kv_bwd", 2 * z.kv * s, 2 * z.kv * z.d, z.d * s, 0.0),
    ]
}

fn baked(z: &Sizes) -> Vec<Row> {
    let s = z.s;
    vec![
        ("fwd_attn", z.d * s, 2 * z.d * (z.q + z.kv), (2 * z.d + 2 * z.q + 2 * z.kv) * s, z.attention),
        ("fwd_ffn", z.d * s, 3 * z.d * z.f, (2 * z.d + 3 * z.f) * s, 0.0),
        ("ffn_bwd", (z.d + 2 * z.f) * s, 3 * z.d * z.f, (z.d + 2 * z.f) * s, 0.0),
        ("sdpa_bwd1", (3 * z.q + z.d) * s, z.d * z.q, (z.q + 2 * z.scores) * s, 2.0 * z.attention),
        ("sdpa_bwd2", (2 * z.scores + 2 * z.q) * s, 0, 2 * z.q * s, z.attention),
        ("qkv_bwd", (z.q + 2 * z.kv) * s, z.d * (z.q + 2 * z.kv), z.d * s, 0.0),
    ]
}

fn extras(spec: &ModelSpec, seq: usize) -> Vec<Call> {
    let (d, v, norms) = (spec.dim, spec.vocab, 2 * spec.layers);
    let norm = call(("norm_bwd", 2 * d * seq, d, d * seq, 0.0), Weights::Baked, norms, 0);
    vec![
        // its output goes to the softmax from surface to surface
        call(("classifier", d * seq, v * d, 0, 0.0), Weights::Baked, 1, seq),
        call(("softmax", 0, 0, v * seq, 0.0), Weights::Baked, 1, seq),
        call(("final_norm", d * seq, d, d * seq, 0.0), Weights::Baked, 1, 0),
        norm,
    ]
}
