//! A block in f64, as slowly and plainly as it can be written, and the derivatives by finite differences.
//! Matrices are row-major, a row a token, as the walk has them.
//! Legend: s tokens, h query heads, kv key heads, hd head width.

#![allow(dead_code)] // each test file uses its part

use model::{Layout, ModelSpec, Part, TensorId};

/// What the published kernels got wrong, each to be told from what is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defect {
    #[default]
    None,
    /// Query head `q` reads key head `q mod kv`.
    GroupByModulo,
    /// The base of the rotation is 10,000 whatever the model says.
    FixedTheta,
    /// Branches are added unscaled.
    UnscaledBranch,
    /// The gain of a norm once more in its gradient.
    ExtraGain,
}

/// A model and what may be wrong with its block.
#[derive(Clone)]
pub struct Reference {
    pub spec: ModelSpec,
    pub layout: Layout,
    pub params: Vec<f32>,
    pub defect: Defect,
    /// Cosine and sine of every position and pair.
    turns: Vec<(f64, f64)>,
}

/// Positions that there are turns for.
const POSITIONS: usize = 64;

/// What the attention part computes, all `[s, .]`.
pub struct AttentionPart {
    pub xnorm: Vec<f64>,
    pub q: Vec<f64>,
    pub k: Vec<f64>,
    pub v: Vec<f64>,
    pub attn: Vec<f64>,
    pub out: Vec<f64>,
}

/// What the feed-forward part computes, all `[s, .]`.
pub struct FfnPart {
    pub xnorm: Vec<f64>,
    pub h1: Vec<f64>,
    pub h3: Vec<f64>,
    pub act: Vec<f64>,
    pub out: Vec<f64>,
}

impl Reference {
    pub fn with(&self, defect: Defect) -> Reference {
        Reference { defect, ..self.clone() }.turning()
    }

    fn turning(mut self) -> Reference {
        let hd = self.spec.head_dim;
        let theta = if self.defect == Defect::FixedTheta { 10_000.0f64 } else { self.spec.rope.theta };
        let angle = |t: usize, i: usize| t as f64 * theta.powf(-2.0 * i as f64 / hd as f64);
        let angles = (0..POSITIONS).flat_map(|t| (0..hd / 2).map(move |i| (t, i)));
        self.turns = angles.map(|(t, i)| (angle(t, i).cos(), angle(t, i).sin())).collect();
        self
    }

    pub fn tensor(&self, id: TensorId) -> Vec<f64> {
        self.params[self.layout.range(id)].iter().map(|v| f64::from(*v)).collect()
    }

    pub fn part(&self, layer: usize, part: Part) -> Vec<f64> {
        self.tensor(TensorId::Layer(layer, part))
    }

    /// `x W^T`  `[s, in]` to `[s, out]`
    pub fn project(&self, layer: usize, part: Part, x: &[f64]) -> Vec<f64> {
        let w = self.part(layer, part);
        let cols = self.layout.get(TensorId::Layer(layer, part)).expect("a matrix of the block").shape[1];
        times_transposed(x, &w, cols)
    }

    /// `dy W`  `[s, out]` to `[s, in]`
    pub fn project_back(&self, layer: usize, part: Part, dy: &[f64]) -> Vec<f64> {
        let w = self.part(layer, part);
        let [rows, cols] = self.layout.get(TensorId::Layer(layer, part)).expect("a matrix of the block").shape;
        let row = |dy: &[f64]| (0..cols).map(|c| (0..rows).map(|r| dy[r] * w[r * cols + c]).sum()).collect::<Vec<f64>>();
        dy.chunks(rows).flat_map(row).collect()
    }

    pub fn norm(&self, id: TensorId, x: &[f64]) -> Vec<f64> {
        let (gain, d) = (self.tensor(id), self.spec.dim);
        let row = |x: &[f64]| {
            let mean = x.iter().map(|v| v * v).sum::<f64>() / d as f64;
            let r = 1.0 / (mean + f64::from(self.spec.norm_eps)).sqrt();
            x.iter().zip(&gain).map(|(v, g)| v * r * g).collect::<Vec<f64>>()
        };
        x.chunks(d).flat_map(row).collect()
    }

    /// Every head of `[s, heads hd]` turned by its position.
    pub fn rotate(&self, x: &[f64], heads: usize) -> Vec<f64> {
        let hd = self.spec.head_dim;
        let mut y = x.to_vec();
        for (t, row) in y.chunks_mut(heads * hd).enumerate() {
            for head in row.chunks_mut(hd) {
                for i in 0..hd / 2 {
                    let ((cos, sin), a, b) = (self.turns[t * hd / 2 + i], head[i], head[i + hd / 2]);
                    head[i] = a * cos - b * sin;
                    head[i + hd / 2] = b * cos + a * sin;
                }
            }
        }
        y
    }

    /// Mixed values `[s, h hd]` of rotated queries and keys.
    pub fn mix(&self, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
        let (h, kv, hd) = (self.spec.heads, self.spec.kv_heads, self.spec.head_dim);
        let s = q.len() / (h * hd);
        let mut mixed = vec![0.0; s * h * hd];
        for head in 0..h {
            let shared = if self.defect == Defect::GroupByModulo { head % kv } else { head / (h / kv) };
            let query = |t: usize| &q[(t * h + head) * hd..][..hd];
            let range = |t: usize| (t * kv + shared) * hd..(t * kv + shared + 1) * hd;
            for t in 0..s {
                let scores: Vec<f64> = (0..=t).map(|j| dot(query(t), &k[range(j)]) / (hd as f64).sqrt()).collect();
                let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = scores.iter().map(|v| (v - largest).exp()).sum();
                for (j, score) in scores.iter().enumerate() {
                    let p = (score - largest).exp() / sum;
                    for (i, value) in v[range(j)].iter().enumerate() {
                        mixed[(t * h + head) * hd + i] += p * value;
                    }
                }
            }
        }
        mixed
    }

    /// Rotation, attention, output projection, from `[q | k | v]` rows as the projections left them: the branch `[s, d]`.
    pub fn attention_of(&self, layer: usize, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
        let (q, k) = (self.rotate(q, self.spec.heads), self.rotate(k, self.spec.kv_heads));
        self.project(layer, Part::O, &self.mix(&q, &k, v))
    }

    pub fn attention_from_norm(&self, layer: usize, xnorm: Vec<f64>) -> AttentionPart {
        let [q, k, v] = [Part::Q, Part::K, Part::V].map(|part| self.project(layer, part, &xnorm));
        let (q, k) = (self.rotate(&q, self.spec.heads), self.rotate(&k, self.spec.kv_heads));
        let attn = self.mix(&q, &k, &v);
        let out = self.project(layer, Part::O, &attn);
        AttentionPart { xnorm, q, k, v, attn, out }
    }

    pub fn attention(&self, layer: usize, x: &[f64]) -> AttentionPart {
        self.attention_from_norm(layer, self.norm(TensorId::Layer(layer, Part::AttnNorm), x))
    }

    pub fn ffn_from_norm(&self, layer: usize, xnorm: Vec<f64>) -> FfnPart {
        let [h1, h3] = [Part::Gate, Part::Up].map(|part| self.project(layer, part, &xnorm));
        let act: Vec<f64> = h1.iter().zip(&h3).map(|(a, b)| a / (1.0 + (-a).exp()) * b).collect();
        let out = self.project(layer, Part::Down, &act);
        FfnPart { xnorm, h1, h3, act, out }
    }

    pub fn ffn(&self, layer: usize, x: &[f64]) -> FfnPart {
        self.ffn_from_norm(layer, self.norm(TensorId::Layer(layer, Part::FfnNorm), x))
    }

    pub fn add_branch(&self, x: &[f64], branch: &[f64]) -> Vec<f64> {
        let a = if self.defect == Defect::UnscaledBranch { 1.0 } else { f64::from(self.spec.residual_scale) };
        x.iter().zip(branch).map(|(x, b)| x + a * b).collect()
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `x W^T` with `W` `[., cols]`.
pub fn times_transposed(x: &[f64], w: &[f64], cols: usize) -> Vec<f64> {
    x.chunks(cols).flat_map(|x| w.chunks(cols).map(|w| dot(x, w)).collect::<Vec<f64>>()).collect()
}

/// Gradient of `f` at `x` by central differences.
pub fn gradient(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let (step, mut at) = (1e-5, x.to_vec());
    let mut side = |i: usize, h: f64| {
        at[i] = x[i] + h;
        let value = f(&at);
        at[i] = x[i];
        value
    };
    (0..x.len()).map(|i| (side(i, step) - side(i, -step)) / (2.0 * step)).collect()
}

/// Numbers of about `scale`, each a number of fp16, so that staging them loses nothing.
pub fn noise(seed: u64, n: usize, scale: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    // the sum of four is near enough to a normal
    (0..n).map(|_| half::f16::from_f64((0..4).map(|_| uniform() - 0.5).sum::<f64>() * 1.7 * scale).to_f64()).collect()
}

/// A model of `spec` whose matrices keep the size of what passes through them, with gains around 1.
pub fn random(spec: ModelSpec) -> Reference {
    let layout = Layout::of(&spec);
    let mut params = vec![0.0f32; layout.len()];
    for (i, t) in layout.tensors().iter().enumerate() {
        let norm = t.role == model::Role::Norm;
        let scale = if norm { 0.3 } else { 1.0 / (t.shape[1] as f64).sqrt() };
        let values = noise(i as u64 + 1, t.range.len(), scale);
        let shift = if norm { 1.0 } else { 0.0 };
        for (p, v) in params[t.range.clone()].iter_mut().zip(values) {
            *p = half::f16::from_f64(v + shift).to_f32();
        }
    }
    Reference { spec, layout, params, defect: Defect::None, turns: Vec::new() }.turning()
}

/// The shapes that every kernel is tried on: as many key heads as query heads, with fewer and with just as many channels as
/// the stream, and fewer key heads, with more channels; in the last theta, epsilon and residual scale are not the usual ones.
pub fn cases() -> Vec<Reference> {
    let base = model::preset("stories110m").map(|p| p.spec).expect("a preset");
    let small = ModelSpec { layers: 2, vocab: 96, ..base };
    let plain = ModelSpec { dim: 64, heads: 4, kv_heads: 4, head_dim: 8, hidden: 96, ..small.clone() };
    let square = ModelSpec { dim: 32, heads: 2, kv_heads: 2, head_dim: 16, hidden: 48, ..small.clone() };
    let grouped = ModelSpec {
        dim: 32,
        heads: 6,
        kv_heads: 2,
        head_dim: 16,
        hidden: 64,
        rope: model::Rope::plain(500_000.0),
        norm_eps: 1e-3,
        residual_scale: 0.35,
        ..small
    };
    vec![random(plain), random(square), random(grouped)]
}
