//! One body, compiled once for each instruction set: LLVM vectorises the same loop with the widest registers there are.
//!
//! Reductions are written over 16 fixed lanes, so that the order of additions does not depend on the register width.

/// Lanes of the accumulators of every reduction.
pub(crate) const LANES: usize = 16;

/// `a * b + c`: one rounding where the instruction set has fused multiply-add, two elsewhere.
#[inline(always)]
pub(crate) fn madd<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Declares `fn name(isa, args..)` whose body is compiled for each instruction set; in the body `FMA` is a constant.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, unsafe_code)]
        $vis fn $name(isa: $crate::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body<const FMA: bool>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body::<true>($($arg),*)
                }
                match isa {
                    // SAFETY: an `Isa` is only made where the processor has the instructions it names.
                    $crate::Isa::Avx512 | $crate::Isa::Amx => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::Isa::Avx2 => unsafe { avx2($($arg),*) },
                    _ => body::<false>($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            match isa {
                // fused multiply-add is part of the base instruction set
                $crate::Isa::Neon => body::<true>($($arg),*),
                _ => body::<false>($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;
