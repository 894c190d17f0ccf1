//! The transformer on a device that runs MIL programs: the kernels of each pipeline, what lies in their surfaces, and which
//! blocks of the walk they take over. It builds and tests anywhere; hardware is one implementer of [`Device`], the simulator
//! the other.

pub mod cost;
mod device;
mod device_engine;
mod kernel_spec;
pub mod kernels;
mod on_device;
mod packed;
mod pipeline;
pub mod probe;
mod shape;
pub mod sim;
pub mod staging;
mod unit;

pub use device::{Counters, Device, DeviceError, Kernel, Port, Source, Stage, Surface};
pub use device_engine::DeviceEngine;
pub use kernel_spec::{Baked, KernelSpec};
pub use on_device::{OnDevice, planned_surface_bytes};
pub use packed::{Axis, Field, Packed};
pub use pipeline::{KernelForm, Pipeline, PipelineOptions, WeightForm};
pub use shape::BlockShape;
pub use sim::{Profile, Simulator};
