//! Which instruction set the kernels use.

use super::micro::Micro;
use super::scalar;

/// An instruction set with a micro-kernel of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// The same, and bfloat16 tiles for large products (f32 in three parts, see `gemm/amx.rs`).
    Amx,
    /// 64-bit ARM.
    Neon,
    /// Apple's Accelerate for large products, NEON for small ones.
    Accelerate,
}

/// A name that is no instruction set, or one that this machine lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("instruction set {name:?} is not available here; available: {}", available.join(", "))]
pub struct UnknownIsa {
    /// What was asked for.
    pub name: String,
    /// What this machine has.
    pub available: Vec<&'static str>,
}

impl Isa {
    /// Every set, fastest first.
    pub const ALL: [Isa; 6] = [Isa::Accelerate, Isa::Amx, Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Scalar];

    /// The sets of this machine, fastest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// What a machine must have for it.
    pub fn needs(self) -> &'static str {
        match self {
            Isa::Scalar => "nothing",
            Isa::Avx2 => "AVX2 and FMA",
            Isa::Avx512 => "AVX-512 F, BW, DQ and VL",
            Isa::Amx => "AVX-512 and AMX with bfloat16, which Linux grants to a process",
            Isa::Neon => "a 64-bit ARM processor",
            Isa::Accelerate => "macOS",
        }
    }

    /// The fastest one of this machine.
    pub fn best() -> Isa {
        Self::available().next().unwrap_or(Isa::Scalar)
    }

    /// The one called `name` (`scalar`, `avx2`, `avx512`, `amx`, `neon`, `accelerate`), the best one for `None` or `auto`.
    ///
    /// # Errors
    /// [`UnknownIsa`] when there is no such set or this machine lacks it.
    pub fn detect(name: Option<&str>) -> Result<Isa, UnknownIsa> {
        let Some(name) = name.filter(|name| !name.is_empty() && *name != "auto") else {
            return Ok(Self::best());
        };
        Self::available()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| UnknownIsa { name: name.to_owned(), available: Self::available().map(Isa::name).collect() })
    }

    /// The name that [`Isa::detect`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
            Isa::Neon => "neon",
            Isa::Accelerate => "accelerate",
        }
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                let parts = is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl");
                is_x86_feature_detected!("avx512f") && parts && Isa::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => Isa::Avx512.is_available() && super::amx::is_available(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => true,
            #[cfg(target_os = "macos")]
            Isa::Accelerate => true,
            _ => false,
        }
    }

    /// Its micro-kernel; only for a set that is available.
    pub(super) fn micro(self) -> &'static Micro {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &super::avx2::MICRO,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Amx => &super::avx512::MICRO,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::Accelerate => &super::neon::MICRO,
            _ => &scalar::MICRO,
        }
    }
}
