//! The transformer on a device that runs MIL programs: the kernels of each pipeline, what lies in their surfaces, and which
//! blocks of the walk they take over. It builds and tests anywhere; hardware is one implementer of [`Device`], the simulator
//! the other.

pub mod cost;
mod device;
mod kernel_spec;
pub mod kernels;
mod packed;
mod pipeline;
mod shape;
pub mod sim;
pub mod staging;

pub use device::{Counters, Device, DeviceError, Kernel, Port, Source, Stage, Surface};
pub use kernel_spec::{Baked, KernelSpec};
pub use packed::{Axis, Field, Packed};
pub use pipeline::{KernelForm, Pipeline, PipelineOptions, WeightForm};
pub use shape::BlockShape;
pub use sim::{Profile, Simulator};
