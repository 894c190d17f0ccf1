//! Pipelines: which blocks of the walk a device takes over, and by which kernels.

use std::fmt;
use std::str::FromStr;

/// Defines an enum whose values have names: as they are typed, printed and stored.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $name {
            /// Every one.
            pub const ALL: [$name; $name::NAMES.len()] = [$($name::$variant),+];
            /// Their names.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// How it is typed.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                let found = $name::ALL.into_iter().find(|value| value.name() == text);
                found.ok_or_else(|| format!("found `{text}`, available: {}", $name::NAMES.join(", ")))
            }
        }
    };
}

named! {
    /// Which blocks run on the device, and where their weights are.
    Pipeline {
        /// The projections of the forward pass; everything else on the CPU.
        MatmulOnly = "matmul-only",
        /// Forward blocks and the gradients of activations, with weights baked into programs that each update makes anew.
        Static = "static",
        /// As static, with classifier, softmax, final norm and the backward pass of norms.
        StaticExtras = "static-extras",
        /// Forward blocks and the gradients of activations, with weights as data.
        #[default]
        Dynamic = "dynamic",
        /// The forward blocks of dynamic; the backward pass on the CPU.
        DynamicCpuBwd = "dynamic-cpu-bwd",
        /// Projections with weights baked in once: for a base that does not change.
        Conv = "conv",
        /// As conv, with one program for Q, K and V, and one for the feed-forward block.
        ConvFused = "conv-fused",
    }
}

named! {
    /// Which set of kernels makes up a pipeline.
    KernelForm {
        /// Ours: fewer dispatches, fewer bytes.
        #[default]
        Fused = "fused",
        /// One kernel for one, those of the published systems.
        Original = "original",
    }
}

named! {
    /// Where the weights of a dynamic pipeline are.
    WeightForm {
        /// Beside the activations, along the width of one surface.
        #[default]
        Packed = "packed",
        /// In surfaces of their own, as further parameters of the function.
        Parameters = "parameters",
    }
}

impl Pipeline {
    /// Whether its programs hold the weights of a base that must not change.
    pub fn freezes_base(self) -> bool {
        matches!(self, Pipeline::Conv | Pipeline::ConvFused)
    }
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

    /// The same for a model of `layers` layers: programs of several layers must divide them.
    pub fn of_layers(self, layers: usize) -> PipelineOptions {
        let most = self.layers_per_program.min(crate::kernels::layers::MOST);
        let span = (1..=most).rev().find(|n| layers.is_multiple_of(*n)).unwrap_or(1);
        PipelineOptions { layers_per_program: span, ..self }
    }
}
