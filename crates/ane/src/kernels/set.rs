//! The kernels of each pipeline, one table: which programs there are follows from it, and how often each is dispatched and
//! compiled.

use std::collections::HashSet;

use mil::BuildError;
use model::Part;

use super::{dynamic, dynamic_original, extras, fixed, layers, original, products};
use crate::{BlockShape, KernelForm, KernelSpec, Pipeline, PipelineOptions};

/// Most channels of a tensor: a larger vocabulary stays on the CPU.
const MOST_CHANNELS: usize = 65_536;

/// The kernels of a pipeline, in the order in which a step runs them first.
#[derive(Clone, Debug)]
pub struct KernelSet {
    /// Each kernel once, however many layers there are.
    pub specs: Vec<KernelSpec>,
    /// How often they run and are compiled.
    pub counts: Counts,
    /// Of each: how often it runs, and whether its program is not that of another before it.
    uses: Vec<(Runs, bool)>,
}

/// How a kernel is used in a model of some layers.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'k> {
    /// The kernel.
    pub spec: &'k KernelSpec,
    /// Dispatches of one window, forward and backward.
    pub dispatches: usize,
    /// Programs: one for all layers, or one a layer where weights are baked in; none where it shares that of another kernel.
    pub programs: usize,
}

impl KernelSet {
    /// Each kernel in a model of `layers` layers.
    pub fn usage(&self, layers: usize) -> impl Iterator<Item = Usage<'_>> {
        self.specs.iter().zip(&self.uses).map(move |(spec, &(runs, own))| {
            let dispatches = match runs {
                Layer => layers,
                Group => self.counts.groups(layers),
                Once => 1,
            };
            let programs = if spec.bakes_weights() { dispatches } else { usize::from(own) };
            Usage { spec, dispatches, programs }
        })
    }
}

/// Dispatches and programs. A dispatch is a kernel on one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Dispatches of a layer, forward and backward.
    pub each_layer: [usize; 2],
    /// Dispatches of a group of `layers_per_program` layers, forward.
    pub each_group: usize,
    /// Dispatches beside those of layers, forward and backward.
    pub beside: [usize; 2],
    /// Programs of a layer, of a group, and beside them that hold weights: an update of the weights makes them anew.
    pub stale: [usize; 3],
    /// Programs that hold none, each compiled once and shared by all layers.
    pub lasting: usize,
    /// Kernels of a layer without any weights, in pipelines with baked weights: the published systems compile them for each
    /// layer.
    pub weightless: usize,
    /// Layers of a group.
    pub layers_per_program: usize,
}

impl Counts {
    /// Dispatches of one window through `layers` layers, forward and backward.
    pub fn dispatches(&self, layers: usize) -> [usize; 2] {
        let [forward, backward] = [0, 1].map(|pass| self.each_layer[pass] * layers + self.beside[pass]);
        [forward + self.each_group * self.groups(layers), backward]
    }

    /// Programs compiled for every update of the weights.
    pub fn compiles_an_update(&self, layers: usize) -> usize {
        let [layer, group, beside] = self.stale;
        layer * layers + group * self.groups(layers) + beside
    }

    /// Programs compiled once, at the start.
    pub fn compiles_at_start(&self) -> usize {
        self.lasting
    }

    /// The same where each layer has a program of its own for what holds no weights, as in the published systems.
    pub fn compiles_at_start_unshared(&self, layers: usize) -> usize {
        self.lasting - self.weightless + self.weightless * layers
    }

    fn groups(&self, layers: usize) -> usize {
        layers.div_ceil(self.layers_per_program.max(1))
    }
}

/// How often a kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    Layer,
    Group,
    Once,
}

/// Which pass it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Forward,
    Backward,
}

use Pass::{Backward, Forward};
use Runs::{Group, Layer, Once};

type Row = (Runs, Pass, Result<KernelSpec, BuildError>);

/// The kernels of `options.pipeline` for blocks of `shape`.
///
/// # Errors
/// When a program cannot be built: an extent of `shape` is 0, or does not fit.
pub fn set(options: &PipelineOptions, shape: &BlockShape) -> Result<KernelSet, BuildError> {
    let (mut specs, mut uses) = (Vec::new(), Vec::new());
    let mut counts = Counts { layers_per_program: options.layers_per_program.max(1), ..Counts::default() };
    let mut lasting = HashSet::new();
    for (runs, pass, spec) in rows(options, shape) {
        let spec = spec?;
        counts.note(runs, pass, &spec);
        uses.push((runs, !spec.bakes_weights() && lasting.insert(spec.program.to_string())));
        specs.push(spec);
    }
    counts.lasting = lasting.len();
    if counts.stale == [0; 3] {
        counts.weightless = 0;
    }
    Ok(KernelSet { specs, counts, uses })
}

impl Counts {
    fn note(&mut self, runs: Runs, pass: Pass, spec: &KernelSpec) {
        match runs {
            Layer => self.each_layer[pass as usize] += 1,
            Group => self.each_group += 1,
            Once => self.beside[pass as usize] += 1,
        }
        if spec.bakes_weights() {
            self.stale[runs as usize] += 1;
        } else if runs == Layer && !spec.stages_weights() {
            self.weightless += 1;
        }
    }
}

fn rows(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    match options.pipeline {
        Pipeline::MatmulOnly => matmul_only(options, shape),
        Pipeline::Static => fixed_forward(options, shape).into_iter().chain(fixed_backward(options, shape)).collect(),
        Pipeline::StaticExtras => with_extras(options, shape),
        Pipeline::Dynamic => dynamic_forward(options, shape).into_iter().chain(dynamic_backward(options, shape)).collect(),
        Pipeline::DynamicCpuBwd => dynamic_forward(options, shape),
        Pipeline::Conv => conv(options, shape),
        Pipeline::ConvFused => vec![
            (Layer, Forward, products::qkv_conv(shape, options.int8)),
            (Layer, Forward, products::conv(shape, Part::O, options.int8)),
            (Layer, Forward, products::ffn_conv(shape, options.kernels, options.int8)),
        ],
    }
}

fn matmul_only(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    let (form, weights) = (options.kernels, options.weights);
    let one = |part| (Layer, Forward, products::matmul(shape, form, weights, part));
    match form {
        KernelForm::Fused => vec![
            (Layer, Forward, products::matmul_qkv(shape, weights)),
            one(Part::O),
            (Layer, Forward, products::matmul_gate_up(shape, weights)),
            one(Part::Down),
        ],
        KernelForm::Original => [Part::Q, Part::K, Part::V, Part::O, Part::Gate, Part::Up, Part::Down].map(one).into(),
    }
}

/// Keys and values stay products: a convolution with few outputs is slower.
fn conv(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    let baked = |part| (Layer, Forward, products::conv(shape, part, options.int8));
    if options.kernels == KernelForm::Fused {
        return vec![
            baked(Part::Q),
            (Layer, Forward, products::matmul_kv(shape, options.weights)),
            baked(Part::O),
            (Layer, Forward, products::gate_up_conv(shape, options.int8)),
            baked(Part::Down),
        ];
    }
    let data = |part| (Layer, Forward, products::matmul(shape, options.kernels, options.weights, part));
    vec![baked(Part::Q), data(Part::K), data(Part::V), baked(Part::O), baked(Part::Gate), baked(Part::Up), baked(Part::Down)]
}

fn fixed_forward(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    if options.layers_per_program > 1 {
        return vec![(Group, Forward, layers::layers_fwd(shape, options.kernels, options.layers_per_program))];
    }
    vec![(Layer, Forward, fixed::fwd_attn(shape, options.kernels)), (Layer, Forward, fixed::fwd_ffn(shape, options.kernels))]
}

fn fixed_backward(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    let mut rows = vec![(Layer, Backward, fixed::ffn_bwd(shape))];
    match options.kernels {
        KernelForm::Fused => rows.push((Layer, Backward, fixed::attn_bwd(shape))),
        KernelForm::Original => {
            rows.extend([(Layer, Backward, original::sdpa_bwd1(shape, true)), (Layer, Backward, original::sdpa_bwd2(shape))])
        }
    }
    rows.push((Layer, Backward, fixed::qkv_bwd(shape)));
    rows
}

fn with_extras(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    let mut rows = fixed_forward(options, shape);
    rows.push((Once, Forward, extras::final_norm(shape)));
    if shape.vocab <= MOST_CHANNELS {
        rows.push((Once, Forward, extras::classifier(shape)));
        rows.push((Once, Forward, extras::softmax(shape)));
    }
    rows.extend(fixed_backward(options, shape));
    rows.push((Layer, Backward, extras::norm_bwd(shape, Part::FfnNorm)));
    rows.push((Layer, Backward, extras::norm_bwd(shape, Part::AttnNorm)));
    rows
}

fn dynamic_forward(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    let weights = options.weights;
    match options.kernels {
        KernelForm::Fused => {
            vec![(Layer, Forward, dynamic::attn_fwd(shape, weights)), (Layer, Forward, dynamic::ffn_fwd(shape, weights))]
        }
        KernelForm::Original => vec![
            (Layer, Forward, dynamic_original::sdpa_fwd(shape, weights)),
            (Layer, Forward, dynamic_original::wo_fwd(shape, weights)),
            (Layer, Forward, dynamic_original::ffn_fused(shape, weights)),
        ],
    }
}

fn dynamic_backward(options: &PipelineOptions, shape: &BlockShape) -> Vec<Row> {
    let weights = options.weights;
    match options.kernels {
        KernelForm::Fused => vec![
            (Layer, Backward, dynamic::ffn_bwd(shape, weights)),
            (Layer, Backward, dynamic::attn_bwd(shape, weights)),
            (Layer, Backward, dynamic::qkv_bwd(shape, weights)),
        ],
        KernelForm::Original => vec![
            (Layer, Backward, dynamic_original::ffn_bwd_w2t(shape, weights)),
            (Layer, Backward, dynamic_original::ffn_bwd_w13t(shape, weights)),
            (Layer, Backward, dynamic_original::wot_bwd(shape, weights)),
            (Layer, Backward, original::sdpa_bwd1(shape, false)),
            (Layer, Backward, original::sdpa_bwd2(shape)),
            (Layer, Backward, dynamic_original::q_bwd(shape, weights)),
            (Layer, Backward, dynamic_original::kv_bwd(shape, weights)),
        ],
    }
}
