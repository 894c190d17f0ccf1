//! Times that others published, as data: whose, of what, on which machine. Ranges and repetitions stand as their middle.
//! Nothing here was measured by us.

mod programs;

use mil::{BuildError, Chip};
use model::{Family, ModelSpec, Rope};

use super::machine::Variant;
use super::{Call, Conv, HostWork, Machine, Method, calls};
use crate::{KernelForm, Pipeline, PipelineOptions, WeightForm};
pub use programs::PROGRAMS;

/// A time of a single program.
#[derive(Clone, Copy, Debug)]
pub struct ProgramTime {
    /// Who published it.
    pub source: &'static str,
    /// On which machine.
    pub machine: Machine,
    /// The program.
    pub conv: Conv,
    /// Milliseconds of a dispatch.
    pub ms: f64,
}

/// Which part of a step a time is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole step.
    Step,
    /// Dispatches.
    Engine,
    /// Copies of activations.
    Copies,
}

/// A time of a step over one window, or of a part of it.
#[derive(Clone, Copy, Debug)]
pub struct StepTime {
    /// Who published it.
    pub source: &'static str,
    /// On which machine.
    pub machine: Machine,
    /// The model.
    pub model: &'static Shape,
    /// None: everything on the host.
    pub pipeline: Option<Pipeline>,
    /// Weights in surfaces of their own.
    pub parameters: bool,
    /// What a step is.
    pub method: Method,
    /// Which part.
    pub part: Part,
    /// Milliseconds.
    pub ms: f64,
}

/// A published model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    dim: usize,
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    layers: usize,
    vocab: usize,
    compact: usize,
    /// Tokens of a window.
    pub seq: usize,
}

impl Shape {
    /// The model, with the vocabulary that `pipeline` trains: the dynamic programs keep the ids that occur.
    pub fn spec(&self, pipeline: Option<Pipeline>) -> ModelSpec {
        let whole = matches!(pipeline, Some(Pipeline::Static | Pipeline::StaticExtras));
        ModelSpec {
            family: Family::Llama,
            dim: self.dim,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            hidden: self.hidden,
            vocab: if whole { self.vocab } else { self.compact },
            context: self.seq,
            rope: Rope::plain(10_000.0),
            no_rope: Vec::new(),
            norm_eps: 1e-5,
            tied: true,
            qkv_bias: false,
            o_bias: false,
            qk_norm: false,
            window: None,
            residual_scale: 1.0,
        }
    }
}

/// Extents `[dim, hidden, layers, seq]`, heads `[query, key, width]`, vocabulary `[whole, compact]`.
const fn shape(name: &'static str, extents: [usize; 4], heads: [usize; 3], vocab: [usize; 2]) -> Shape {
    let ([dim, hidden, layers, seq], [heads, kv_heads, head_dim], [vocab, compact]) = (extents, heads, vocab);
    Shape { name, dim, hidden, heads, kv_heads, head_dim, layers, vocab, compact, seq }
}

impl StepTime {
    /// The kernels that it is a time of, none for a host on its own, and what the host does.
    ///
    /// # Errors
    /// When a program cannot be built.
    pub fn work(&self) -> Result<(Vec<Call>, HostWork), BuildError> {
        let (spec, seq) = (self.model.spec(self.pipeline), self.model.seq);
        let weights = if self.parameters { WeightForm::Parameters } else { WeightForm::Packed };
        let options = |p| PipelineOptions { kernels: KernelForm::Original, weights, ..PipelineOptions::of(p) };
        let mut calls = self.pipeline.map_or(Ok(Vec::new()), |p| calls(&options(p), &spec, seq))?;
        if let Method::Forwards(n) = self.method {
            calls.iter_mut().for_each(|call| call.dispatches *= n);
        }
        Ok((calls, HostWork::of(self.pipeline, &spec, seq, self.method)))
    }
}

/// The model of most published figures.
pub const STORIES: Shape = shape("stories110m", [768, 2048, 12, 256], [12, 12, 64], [32_000, 9_200]);
const QWEN: Shape = shape("qwen3-0.6b", [1024, 3072, 28, 256], [16, 8, 128], [151_936, 9_200]);
const AUTO_95M: Shape = shape("1024d/4L", [1024, 2816, 4, 256], [16, 4, 64], [49_152, 16_893]);
const AUTO_36M: Shape = shape("512d/4L", [512, 1408, 4, 128], [8, 2, 64], [49_152, 16_893]);
const AUTO_177M: Shape = shape("1536d/4L", [1536, 4224, 4, 256], [24, 6, 64], [49_152, 16_893]);
const SMOLLM: Shape = shape("smollm2-360m", [960, 2560, 32, 256], [15, 5, 64], [49_152, 16_893]);

const M1_PRO: Machine = Machine::new(Chip::M1, Variant::Pro);
const M1_MAX: Machine = Machine::new(Chip::M1, Variant::Max);
const M1: Machine = Machine::new(Chip::M1, Variant::Base);
const M2: Machine = Machine::new(Chip::M2, Variant::Base);
const M2_PRO: Machine = Machine::new(Chip::M2, Variant::Pro);
const M3_PRO: Machine = Machine::new(Chip::M3, Variant::Pro);
const M3_MAX: Machine = Machine::new(Chip::M3, Variant::Max);
const M3_ULTRA: Machine = Machine::new(Chip::M3, Variant::Ultra);
const M4: Machine = Machine::new(Chip::M4, Variant::Base);
const M4_PRO: Machine = Machine::new(Chip::M4, Variant::Pro);
const M4_MAX: Machine = Machine::new(Chip::M4, Variant::Max);
const M5: Machine = Machine::new(Chip::M5, Variant::Base);
const M5_MAX: Machine = Machine::new(Chip::M5, Variant::Max);

const fn of(
    source: &'static str,
    machine: Machine,
    model: &'static Shape,
    pipeline: Option<Pipeline>,
    part: Part,
    ms: f64,
) -> StepTime {
    StepTime { source, machine, model, pipeline, parameters: false, method: Method::Backprop, part, ms }
}

const fn at(source: &'static str, machine: Machine, model: &'static Shape, pipeline: Pipeline, ms: f64) -> StepTime {
    of(source, machine, model, Some(pipeline), Part::Step, ms)
}

/// Every published time of a step that the model covers, and of its parts.
pub const STEPS: &[StepTime] = &[
    at("mx README", M4, &STORIES, Pipeline::Dynamic, 91.0),
    at("mx cb474e1, 20 steps", M4, &STORIES, Pipeline::Dynamic, 111.0),
    at("mx README", M4, &QWEN, Pipeline::Dynamic, 412.0),
    at("mx training/README", M4, &STORIES, Pipeline::Static, 106.7),
    at("mx training/README", M4, &STORIES, Pipeline::StaticExtras, 91.8),
    at("libane, M4 mini", M4, &STORIES, Pipeline::Dynamic, 93.1),
    StepTime { parameters: true, ..at("mx PR#22", M4, &STORIES, Pipeline::Dynamic, 76.9) },
    at("libane, 86 kernels", M3_PRO, &STORIES, Pipeline::StaticExtras, 93.0),
    at("e5fork, 71.6-74.7", M4_MAX, &STORIES, Pipeline::Static, 72.5),
    at("e5fork, 57.0-62.9", M4_MAX, &STORIES, Pipeline::StaticExtras, 58.9),
    at("Orion", M4_MAX, &STORIES, Pipeline::Static, 75.3),
    at("mx PR#28", M3_ULTRA, &STORIES, Pipeline::Static, 81.2),
    at("mx PR#28", M3_ULTRA, &STORIES, Pipeline::StaticExtras, 71.4),
    at("mx PR#28", M3_ULTRA, &STORIES, Pipeline::Dynamic, 115.4),
    at("mx PR#50", M5_MAX, &STORIES, Pipeline::Dynamic, 73.5),
    at("mx PR#50", M5_MAX, &QWEN, Pipeline::Dynamic, 320.0),
    at("mx report, 101-120", M5, &STORIES, Pipeline::Static, 110.5),
    at("mx report, 69-73", M4_PRO, &STORIES, Pipeline::Static, 71.0),
    at("mx report, 148-163", M1_PRO, &STORIES, Pipeline::Static, 155.5),
    at("mx report, 143-167", M1_MAX, &STORIES, Pipeline::Static, 155.0),
    at("auto", M2_PRO, &AUTO_95M, Pipeline::Dynamic, 68.7),
    at("auto", M2_PRO, &AUTO_95M, Pipeline::DynamicCpuBwd, 77.5),
    at("auto", M2_PRO, &AUTO_95M, Pipeline::MatmulOnly, 77.6),
    at("auto, 300 s", M2_PRO, &AUTO_95M, Pipeline::MatmulOnly, 104.4),
    at("auto", M2_PRO, &AUTO_36M, Pipeline::MatmulOnly, 26.0),
    at("auto", M2_PRO, &AUTO_177M, Pipeline::MatmulOnly, 157.2),
    of("auto", M2_PRO, &AUTO_95M, None, Part::Step, 102.2),
    of("auto, 22.6-30.7", M2_PRO, &AUTO_36M, None, Part::Step, 26.7),
    of("auto", M2_PRO, &AUTO_177M, None, Part::Step, 159.9),
    StepTime { method: Method::Forwards(2), ..at("auto", M2_PRO, &SMOLLM, Pipeline::ConvFused, 262.0) },
    StepTime { method: Method::Forwards(2), ..at("auto, 403-429", M2_PRO, &SMOLLM, Pipeline::Conv, 416.0) },
    StepTime { method: Method::Forwards(2), ..of("auto", M2_PRO, &SMOLLM, None, Part::Step, 447.0) },
    of("mx cb474e1, 21 + 28", M4, &STORIES, Some(Pipeline::Dynamic), Part::Engine, 49.0),
    of("mx cb474e1, 12 + 15", M4, &STORIES, Some(Pipeline::Dynamic), Part::Copies, 27.0),
    of("mx, 8.9-10.2", M4, &STORIES, Some(Pipeline::Static), Part::Engine, 9.55),
    of("mx, 32-45", M1_PRO, &STORIES, Some(Pipeline::Static), Part::Engine, 38.5),
    of("auto, 10.5 + 18.7", M2_PRO, &AUTO_95M, Some(Pipeline::Dynamic), Part::Engine, 29.2),
    of("auto, 3.0 + 5.1", M2_PRO, &AUTO_95M, Some(Pipeline::Dynamic), Part::Copies, 8.1),
];

/// Published times that the model does not cover, and why.
pub const NOT_COVERED: &[(&str, &str)] = &[
    (
        "mx PR#19 `--no-ane-extras`: 147.0 ms (M4), 123.8 ms (M3 Ultra)",
        "the work of the static pipeline in another program, 40 ms slower for a reason that is not published",
    ),
    ("trainer plan H: 52 ms (M4)", "gradients of weights, classifier and loss on the engine: a pipeline that is not ours"),
    ("libane pipeline-parallel: 71.8 ms (M4), 80.9 ms (M3 Pro)", "two windows overlap; the model adds up one"),
    ("rustane: 293, 1,302 and 1,794 ms (M3 Ultra)", "another training program"),
    ("e5fork, M4 Max of 03-03", "the same convolutions as a day later, two to four times slower for small ones"),
    ("e5fork E5 path, hwx and Espresso blocks", "another route to the engine, or shapes that are not published"),
    ("mx I#24 FFN proxies and fused transformers (M1 Pro)", "the length of the window is not published"),
    ("guide GEMM and attention rates (M1)", "shapes are not published"),
    ("libane 1 position (M3 Pro)", "times below the chip's own floor"),
];
