//! Pipelines: which blocks of the walk a device takes over, and by which kernels.

use std::fmt;

/// Which blocks run on the device, and where their weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pipeline {
    /// The projections of the forward pass; everything else on the CPU.
    MatmulOnly,
    /// Forward blocks and the gradients of activations, with weights baked into programs that each update makes anew.
    Static,
    /// As static, with classifier, softmax, final norm and the backward pass of norms.
    StaticExtras,
    /// Forward blocks and the gradients of activations, with weights as data.
    Dynamic,
    /// The forward blocks of dynamic; the backward pass on the CPU.
    DynamicCpuBwd,
    /// Projections with weights baked in once: for a base that does not change.
    Conv,
    /// As conv, with one program for Q, K and V, and one for the feed-forward block.
    ConvFused,
}

impl Pipeline {
    /// Every pipeline.
    pub const ALL: [Pipeline; 7] = [
        Pipeline::MatmulOnly,
        Pipeline::Static,
        Pipeline::StaticExtras,
        Pipeline::Dynamic,
        Pipeline::DynamicCpuBwd,
        Pipeline::Conv,
        Pipeline::ConvFused,
    ];

    /// How it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Pipeline::MatmulOnly => "matmul-only",
            Pipeline::Static => "static",
            Pipeline::StaticExtras => "static-extras",
            Pipeline::Dynamic => "dynamic",
            Pipeline::DynamicCpuBwd => "dynamic-cpu-bwd",
            Pipeline::Conv => "conv",
            Pipeline::ConvFused => "conv-fused",
        }
    }

    /// The pipeline typed `name`.
    pub fn of_name(name: &str) -> Option<Pipeline> {
        Pipeline::ALL.into_iter().find(|p| p.name() == name)
    }

    /// Whether its programs hold the weights of a base that must not change.
    pub fn freezes_base(self) -> bool {
        matches!(self, Pipeline::Conv | Pipeline::ConvFused)
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which set of kernels makes up a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KernelForm {
    /// Ours: fewer dispatches, fewer bytes.
    #[default]
    Fused,
    /// One kernel for one, those of the published systems.
    Original,
}

/// Where the weights of a dynamic pipeline are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightForm {
    /// Beside the activations, along the width of one surface.
    #[default]
    Packed,
    /// In surfaces of their own, as further parameters of the function.
    Parameters,
}

/// A pipeline and its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PipelineOptions {
    /// Which blocks.
    pub pipeline: Pipeline,
    /// Which kernels.
    pub kernels: KernelForm,
    /// Where weights are data.
    pub weights: WeightForm,
    /// Layers whose forward pass is one program; 1 unless the pipeline is static.
    pub layers_per_program: usize,
    /// Weights and activations of convolutions in 8 bits.
    pub int8: bool,
}

impl PipelineOptions {
    /// A pipeline with the default options.
    pub fn of(pipeline: Pipeline) -> PipelineOptions {
        let (kernels, weights) = (KernelForm::default(), WeightForm::default());
        PipelineOptions { pipeline, kernels, weights, layers_per_program: 1, int8: false }
    }
}
