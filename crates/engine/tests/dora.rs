//! Weight-decomposed adapters against a dense model with the rows scaled by hand.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{
    AdapterPlan, Adapting, Base, Batch, CpuEngine, DecodeWeights, Decoder, Engine, EngineError, Options, Shape, init,
    init_adapter,
};
use kernels::Cpu;
use kernels::stored::Numbers;
use model::{AdapterForm, AdapterSpec, AdapterTarget, Family, Half, Layout, ModelSpec, Rope, TensorId};

const SHAPE: Shape = Shape { rows: 2, seq: 8 };

fn spec() -> ModelSpec {
    ModelSpec {
        family: Family::Qwen3,
        dim: 24,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        hidden: 40,
        vocab: 50,
        context: 32,
        rope: Rope::plain(1e4),
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied: true,
        qkv_bias: true,
        o_bias: true,
        qk_norm: true,
        window: None,
        residual_scale: 0.7,
    }
}

struct Case {
    spec: ModelSpec,
    layout: Layout,
    plan: AdapterSpec,
    own: Layout,
    base: Vec<f32>,
    values: Vec<f32>,
}

impl Case {
    /// An adapter of `targets` whose lengths are near, and not at, those of the rows.
    fn new(cpu: &Cpu, targets: &str, norms: bool) -> Case {
        let (spec, targets) = (spec(), AdapterTarget::parse_list(targets).unwrap());
        let plan = AdapterSpec { rank: 3, alpha: 6.0, rank_stabilized: false, targets, norms, form: AdapterForm::Dora };
        let (layout, own) = (Layout::of(&spec), Layout::of_adapter(&spec, &plan));
        let mut base = init(&spec, &layout, 3);
        base.iter_mut().for_each(|w| *w *= 2.0);
        let mut values = init_adapter(&own, (&layout, Base::Flat(&base)), 5);
        AdapterPlan::new(&spec, &plan, 0).start_magnitudes(cpu, Base::Flat(&base), &mut values);
        Case { spec, layout, plan, own, base, values }
    }

    fn moved(mut self) -> Case {
        self.values.iter_mut().enumerate().for_each(|(i, v)| *v += (i % 13) as f32 / 130.0 - 0.05);
        self
    }

    fn engine<'a>(&self, cpu: &'a Cpu, recompute: bool) -> impl Engine + use<'a> {
        let walk = CpuEngine::new(cpu, &self.spec, SHAPE, Options { gradient: true, recompute });
        Adapting::new(walk, Arc::new(self.base.clone()), &self.plan)
    }

    /// `W + s B A` of an adapted matrix, and the length of each of its rows, in f64.
    fn sum(&self, id: TensorId) -> Option<(Vec<f64>, Vec<f64>)> {
        let TensorId::Layer(l, part) = id else { return None };
        let (a, b) = (self.own.get(TensorId::Adapter(l, part, Half::A))?, self.own.get(TensorId::Adapter(l, part, Half::B))?);
        let (r, inner, s) = (self.plan.rank, a.shape[1], f64::from(self.plan.scale()));
        let at = |t: &model::TensorInfo, i: usize| f64::from(self.values[t.range.start + i]);
        let w = &self.base[self.layout.range(id)];
        let element = |k: usize| {
            let (o, i) = (k / inner, k % inner);
            f64::from(w[k]) + s * (0..r).map(|j| at(b, o * r + j) * at(a, j * inner + i)).sum::<f64>()
        };
        let v: Vec<f64> = (0..w.len()).map(element).collect();
        let lengths = v.chunks(inner).map(|row| row.iter().map(|v| v * v).sum::<f64>().sqrt()).collect();
        Some((v, lengths))
    }

    fn lengths(&self, id: TensorId) -> &[f32] {
        let TensorId::Layer(l, part) = id else { return &[] };
        &self.values[self.own.range(TensorId::Adapter(l, part, Half::M))]
    }

    /// The dense model: `m / |V| V` in place of each adapted matrix, and the gains that are trained.
    fn dense(&self) -> Vec<f32> {
        let mut all = self.base.clone();
        for t in self.layout.tensors() {
            if let Some(own) = self.own.get(t.id) {
                all[t.range.clone()].copy_from_slice(&self.values[own.range.clone()]);
            }
            let (Some((v, lengths)), m) = (self.sum(t.id), self.lengths(t.id)) else { continue };
            let inner = t.shape[1];
            let to = all[t.range.clone()].iter_mut().enumerate();
            to.for_each(|(k, w)| *w = (f64::from(m[k / inner]) / lengths[k / inner] * v[k]) as f32);
        }
        all
    }
}

fn tokens() -> (Vec<u32>, Vec<u32>) {
    ((0..16).map(|i| i * 7 % 50).collect(), (1..17).map(|i| i * 7 % 50).collect())
}

fn close(found: &[f32], expected: &[f64], what: &str) {
    let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - b).abs() <= 1e-4 * largest, "{what}[{i}]: {a}, expected {b}");
    }
}

#[test]
fn at_the_start_it_is_the_base() {
    let cpu = Cpu::new(2);
    let case = Case::new(&cpu, "all", false);
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    let base = CpuEngine::new(&cpu, &case.spec, SHAPE, Options::INFERENCE).loss(&case.base, &batch).unwrap();
    let found = case.engine(&cpu, false).evaluate(&case.values, &batch).unwrap();
    assert!((found.mean() - base.mean()).abs() < 1e-6, "{} {}", found.mean(), base.mean());
}

/// The gradient of the dense model, taken back through `W' = m / |V| V` by hand, with `|V|` a constant as in the paper.
#[test]
fn loss_and_gradient_are_those_of_the_dense_model_with_the_length_held() {
    let cpu = Cpu::new(2);
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    for (names, norms, recompute) in [("all", true, false), ("q_proj,up_proj,down_proj", false, true)] {
        let case = Case::new(&cpu, names, norms).moved();
        let whole = case.dense();
        let mut dw = vec![0.0; whole.len()];
        let mut dense = CpuEngine::new(&cpu, &case.spec, SHAPE, Options::TRAINING);
        let expected = dense.loss_and_grad(&whole, &batch, &mut dw, false).unwrap();
        let (mut engine, mut grad) = (case.engine(&cpu, recompute), vec![f32::NAN; case.values.len()]);
        let found = engine.loss_and_grad_unless(&case.values, &batch, &mut grad, false, &mut || false).unwrap().unwrap();
        assert!((found.mean() - expected.mean()).abs() < 1e-5, "{} {}", found.mean(), expected.mean());
        for t in case.own.tensors() {
            let TensorId::Adapter(l, part, half) = t.id else {
                let expected: Vec<f64> = dw[case.layout.range(t.id)].iter().map(|g| f64::from(*g)).collect();
                close(&grad[t.range.clone()], &expected, &format!("{:?}", t.id));
                continue;
            };
            let id = TensorId::Layer(l, part);
            let ((v, lengths), m, dw) = (case.sum(id).unwrap(), case.lengths(id), &dw[case.layout.range(id)]);
            let (inner, out, r, s) = (dw.len() / m.len(), m.len(), case.plan.rank, f64::from(case.plan.scale()));
            let dv = |o: usize, i: usize| f64::from(m[o]) / lengths[o] * f64::from(dw[o * inner + i]);
            let of = |half, k: usize| f64::from(case.values[case.own.range(TensorId::Adapter(l, part, half)).start + k]);
            let one = |k: usize| match half {
                Half::A => (0..out).map(|o| s * of(Half::B, o * r + k / inner) * dv(o, k % inner)).sum::<f64>(),
                Half::B => (0..inner).map(|i| s * dv(k / r, i) * of(Half::A, k % r * inner + i)).sum(),
                Half::M => (0..inner).map(|i| f64::from(dw[k * inner + i]) * v[k * inner + i]).sum::<f64>() / lengths[k],
            };
            let expected: Vec<f64> = (0..t.range.len()).map(one).collect();
            close(&grad[t.range.clone()], &expected, &format!("{:?}", t.id));
        }
        let twice: Vec<f64> = grad.iter().map(|g| 2.0 * f64::from(*g)).collect();
        engine.loss_and_grad_unless(&case.values, &batch, &mut grad, true, &mut || false).unwrap();
        close(&grad, &twice, "accumulated");
    }
}

/// The loss moves with a length as its gradient says: nothing is held constant there.
#[test]
fn the_gradient_of_a_length_is_a_difference_of_losses() {
    let cpu = Cpu::new(1);
    let case = Case::new(&cpu, "all", false).moved();
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    let (mut engine, mut grad) = (case.engine(&cpu, false), vec![0.0; case.values.len()]);
    engine.loss_and_grad_unless(&case.values, &batch, &mut grad, false, &mut || false).unwrap();
    let lengths = case.own.tensors().iter().filter(|t| matches!(t.id, TensorId::Adapter(_, _, Half::M)));
    for t in lengths {
        let norm = grad[t.range.clone()].iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let mut along = |h: f64| {
            let mut values = case.values.clone();
            let (to, d) = (&mut values[t.range.clone()], &grad[t.range.clone()]);
            to.iter_mut().zip(d).for_each(|(v, g)| *v += (h * f64::from(*g) / norm) as f32);
            engine.evaluate(&values, &batch).unwrap().sum
        };
        let slope = (along(2e-2) - along(-2e-2)) / 4e-2;
        assert!((slope - norm).abs() < 1e-2 * norm.max(1e-2), "{:?}: {slope} {norm}", t.id);
    }
}

#[test]
fn what_is_merged_and_what_is_decoded_are_the_same_model() {
    let cpu = Cpu::new(2);
    let case = Case::new(&cpu, "all", true).moved();
    let plan = AdapterPlan::new(&case.spec, &case.plan, 0);
    let (mut merged, expected) = (case.base.clone(), case.dense());
    for t in case.layout.tensors() {
        plan.merge(t, &case.values, 0..t.shape[0], &mut merged[t.range.clone()]);
    }
    let expected: Vec<f64> = expected.iter().map(|w| f64::from(*w)).collect();
    close(&merged, &expected, "merged");
    plan.renew(&cpu, Base::Flat(&case.base), &case.values);
    let beside = DecodeWeights::read::<EngineError>(&case.spec, |t| {
        let own = case.own.get(t.id).map_or(&case.base[t.range.clone()], |own| &case.values[own.range.clone()]);
        Ok(Numbers::F32(own.into()))
    });
    let (beside, whole) = (beside.unwrap().adapted(&plan, &case.values), DecodeWeights::borrowed(&case.spec, &merged).unwrap());
    let (mut a, mut b) = (Decoder::new(&cpu, &case.spec, &beside, 16), Decoder::new(&cpu, &case.spec, &whole, 16));
    let ids = tokens().0;
    for part in [&ids[..9], &ids[9..10], &ids[10..]] {
        let expected: Vec<f64> = b.feed(part).unwrap().iter().map(|z| f64::from(*z)).collect();
        close(a.feed(part).unwrap(), &expected, "logits");
    }
}

/// Methods from losses alone look at other values of the adapter: lengths are those of the values at hand.
#[test]
fn losses_beside_the_values_are_those_of_the_values_there() {
    let cpu = Cpu::new(1);
    let case = Case::new(&cpu, "all", false).moved();
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    let mut engine = case.engine(&cpu, false);
    let other: Vec<f32> = case.values.iter().map(|v| v * 1.1).collect();
    let (here, there) = (engine.evaluate(&case.values, &batch).unwrap().sum, engine.evaluate(&other, &batch).unwrap().sum);
    assert!((here - there).abs() > 1e-4);
    assert_eq!(case.engine(&cpu, false).evaluate(&other, &batch).unwrap().sum, there);
    assert_eq!(engine.evaluate(&case.values, &batch).unwrap().sum, here);
}
