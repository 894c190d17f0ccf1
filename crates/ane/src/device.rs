//! What a device that compiles and runs MIL programs can do. Two implement it: the simulator here, and the hardware behind
//! the private framework of macOS.
//!
//! A [`Kernel`] is a program that was compiled and loaded. A [`Surface`] is memory that the device reads and writes: bytes,
//! packed row-major in the type that the program declares, rows at the stride that the kernel reports. A request binds
//! surfaces to the ports of a kernel once; evaluating it is all that a step does.

use std::fmt;

/// What a device is given to compile: the text of a checked program and the files that it names.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// MIL text.
    pub text: &'a str,
    /// Weight files: path in the program (`@model_path/weights/x.bin`) and bytes.
    pub blobs: &'a [(String, Vec<u8>)],
}

/// Input or output of a loaded program, as the device lays it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name in the program.
    pub name: String,
    /// Extents `[n, c, h, w]`, whatever rank the program declares.
    pub shape: [usize; 4],
    /// Bytes of an element.
    pub element_bytes: usize,
    /// Bytes from one row of `w` elements to the next.
    pub row_stride: usize,
    /// Bytes that a surface for this port must have at least.
    pub surface_bytes: usize,
}

/// What a device has been made to do since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Programs compiled and loaded.
    pub compiles: u64,
    /// Requests evaluated.
    pub dispatches: u64,
    /// Seconds spent compiling and loading.
    pub compile_seconds: f64,
    /// Seconds spent evaluating: of the clock on hardware, of the latency model on the simulator.
    pub evaluate_seconds: f64,
    /// Whether `evaluate_seconds` are those of a latency model.
    pub modelled: bool,
    /// Bytes of all surfaces alive.
    pub surface_bytes: u64,
    /// Programs loaded now.
    pub loaded: u64,
}

/// At which call a device failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Making the descriptor, writing the files, compiling.
    Compile,
    /// Loading.
    Load,
    /// Making or locking a surface.
    Surface,
    /// Binding surfaces to ports.
    Bind,
    /// Running.
    Evaluate,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Compile => "compile",
            Stage::Load => "load",
            Stage::Surface => "surface",
            Stage::Bind => "bind",
            Stage::Evaluate => "evaluate",
        })
    }
}

/// Why a device did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// There is no such device here.
    #[error("{0}")]
    Unavailable(String),
    /// More programs than a process may compile, or load at once.
    #[error("{kernel}: {used} programs {what}, and {limit} is the limit of a process")]
    Budget {
        /// Kernel that was one too many.
        kernel: String,
        /// `compiled` or `loaded`.
        what: &'static str,
        /// How many there are.
        used: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A call failed; domain and code are those of the framework's error.
    #[error("{kernel}: {stage} failed: {domain} code {code:#x}: {text}")]
    Failed {
        /// Kernel.
        kernel: String,
        /// At which call.
        stage: Stage,
        /// Who says so.
        domain: String,
        /// Its number.
        code: i64,
        /// Its words.
        text: String,
    },
    /// A surface is too small, or a number of ports is wrong.
    #[error("{kernel}: {what}: expected {expected}, found {found}")]
    Mismatch {
        /// Kernel.
        kernel: String,
        /// What does not fit.
        what: String,
        /// What it should have been.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// Memory that a device reads and writes. A clone is the same memory.
pub trait Surface: Clone {
    /// Bytes of it.
    fn len(&self) -> usize;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, locked against the device while `f` reads them.
    ///
    /// # Errors
    /// When it cannot be locked.
    fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Result<R, DeviceError>;

    /// Its bytes, locked against the device while `f` writes them.
    ///
    /// # Errors
    /// When it cannot be locked.
    fn write<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, DeviceError>;
}

/// A program that is compiled and loaded. Dropping it unloads it.
pub trait Kernel {
    /// Memory that its requests read and write.
    type Surface: Surface;
    /// Surfaces bound to its ports.
    type Request;

    /// Inputs, in the order in which the program declares them.
    fn inputs(&self) -> &[Port];

    /// Outputs, in the order in which the program returns them.
    fn outputs(&self) -> &[Port];

    /// Binds a surface to each port, in the order of [`Kernel::inputs`] and [`Kernel::outputs`]; the device's own order of
    /// ports is its own affair.
    ///
    /// # Errors
    /// When a surface is too small or one is missing.
    fn request(&self, inputs: &[Self::Surface], outputs: &[Self::Surface]) -> Result<Self::Request, DeviceError>;

    /// Runs the program and waits for it. After an error the outputs mean nothing.
    ///
    /// # Errors
    /// What the device reports.
    fn evaluate(&self, request: &Self::Request) -> Result<(), DeviceError>;
}

/// A device that compiles and runs MIL programs.
pub trait Device {
    /// Its memory.
    type Surface: Surface;
    /// Its loaded programs.
    type Kernel: Kernel<Surface = Self::Surface>;

    /// One line for people: which device, which chip, which system.
    fn describe(&self) -> String;

    /// Compiles and loads a program.
    ///
    /// # Errors
    /// When the text is refused, the budget is used up, or a call fails.
    fn compile(&self, source: &Source<'_>) -> Result<Self::Kernel, DeviceError>;

    /// A surface of at least `bytes` bytes, zeroed.
    ///
    /// # Errors
    /// When there is no memory for it.
    fn surface(&self, bytes: usize) -> Result<Self::Surface, DeviceError>;

    /// Programs that this process may still compile; none: no limit is known.
    fn compiles_left(&self) -> Option<u64> {
        None
    }

    /// In which dialect the compiler of this chip takes programs.
    fn dialect(&self) -> mil::Dialect {
        mil::Dialect::Ios18
    }

    /// Peak of the chip in FLOP/s, where it is known.
    fn peak_flops(&self) -> Option<f64> {
        None
    }

    /// What it has been made to do.
    fn counters(&self) -> Counters;
}
