//! AMX: f32 products on bfloat16 tiles, as exact as fused multiply-adds.
//!
//! Every f32 is the sum of three bfloat16 (8 bits each of its 24): x = h + m + l. Of the nine products of two such sums
//! six are computed, `hh + hm + mh + mm + hl + lh`, each exact in f32; what is left out is below 2^-24 of the product, the
//! rounding of one multiply-add. Sums are f32, rounded to nearest, in a fixed order. Magnitudes below 2^-110 lose their
//! last bits, since the tiles take subnormal numbers for zero. Where the right operand is bfloat16 itself, as weights of released models often are,
//! three of the six are zero and left out: the same bits in half the time. After Henry, Tang and Heinecke, "Leveraging the bfloat16
//! Artificial Intelligence Datatype For Higher-Precision Computations" (2019).
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

mod drive;
mod halves;
mod split;

pub(super) use drive::{BUFFER_BYTES_MAX, Buffers, Right, gemm, pays};
pub(super) use halves::Rows;

/// Rows and columns of a block of c: two tiles by two.
pub(super) const SIDE: usize = 32;
/// Elements of k that one tile holds.
pub(super) const STEP: usize = 32;
/// Bytes of a tile.
pub(super) const TILE: usize = 1024;
/// Bytes of one step of a panel: three planes of two tiles.
pub(super) const STEP_BYTES: usize = 6 * TILE;

/// Whether processor and system let this process use bfloat16 tiles.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        // CPUID.7.0:EDX: bit 22 AMX-BF16, bit 24 AMX-TILE
        let tiles = || __cpuid_count(7, 0).edx & (1 << 22 | 1 << 24) == (1 << 22 | 1 << 24);
        let vectors = is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw");
        vectors && is_x86_feature_detected!("avx512vl") && tiles() && permitted()
    })
}

/// Asks Linux for the tile registers, which a process has to (`Documentation/arch/x86/xstate.rst`).
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let result: i64;
    // SAFETY: the call touches no memory of ours; the kernel clobbers rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Operand of `ldtilecfg`: all eight tiles are 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: Config = {
    let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
    let mut tile = 0;
    while tile < 8 {
        row_bytes[tile] = 64;
        rows[tile] = 16;
        tile += 1;
    }
    Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
};

/// Calls `f` with this thread's tiles configured, and releases them after it.
///
/// # Safety
/// [`is_available`], and `f` does not unwind.
pub(crate) unsafe fn with_tiles(f: impl FnOnce()) {
    // SAFETY: the caller's promise; the compiler itself never uses tiles.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly)) };
    f();
    // SAFETY: as above.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// Multiplies panels that stay in the first-level cache: the speed of the tiles alone, 2 x 32 x 32 operations a step of k.
pub(crate) fn peak(steps: usize) -> f32 {
    #[repr(align(64))]
    struct Panel([u8; 4 * STEP_BYTES]);
    // processors slow down for operands with many set bits: zeros would promise too much
    let (panel, mut c) =
        (Panel(std::array::from_fn(|i| if i % 2 == 1 { 0x3c } else { ((i * 37) >> 1) as u8 })), [0.0f32; SIDE * SIDE]);
    let panel = std::hint::black_box(panel.0.as_ptr());
    // SAFETY: an `Isa` that a `Cpu` holds is available, panels and c are as large as one step needs.
    unsafe {
        with_tiles(|| {
            (0..steps / (4 * STEP))
                .for_each(|_| multiply((panel, panel), (panel, panel, panel.cast()), (4, false), c.as_mut_ptr(), 4 * SIDE, true))
        });
    }
    c[0]
}

// Pieces of the loop of `multiply`: two tiles of each operand are held, and multiplied each by each.
macro_rules! products {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6\n tdpbf16ps tmm1, tmm4, tmm7\n tdpbf16ps tmm2, tmm5, tmm6\n tdpbf16ps tmm3, tmm5, tmm7"
    };
}
macro_rules! load_a {
    ($at:literal) => {
        concat!("tileloadd tmm4, [{a} + {row} + ", $at, "]\n tileloadd tmm5, [{a} + {row} + ", $at, " + 1024]")
    };
}
macro_rules! load_b {
    ($at:literal) => {
        concat!("tileloadd tmm6, [{b} + {row} + ", $at, "]\n tileloadd tmm7, [{b} + {row} + ", $at, " + 1024]")
    };
}
macro_rules! ahead {
    ($at:literal) => {
        concat!(
            "prefetcht1 [{next_a} + ",
            $at,
            "]\n prefetcht1 [{next_b} + ",
            $at,
            "]\n",
            "prefetcht0 [{next_c}]\n prefetcht0 [{next_c} + 64]\n add {next_c}, {c_bytes}"
        )
    };
}

/// Bytes of each operand that one step fetches ahead.
pub(super) const AHEAD: usize = 512;

/// c[32, 32] = a x b, or c += a x b: `steps` steps of a row panel and a column panel; rows of c are `c_bytes` apart. What
/// will be used `next` is fetched meanwhile: [`AHEAD`] bytes of each panel a step into the second-level cache, and eight rows of c.
/// Where the column panel is `narrow`, its planes m and l are zero, and so are the products with them: the same sum without them.
///
/// # Safety
/// Inside [`with_tiles`]; the panels hold `steps` (at least one) steps, and c its block.
unsafe fn multiply(
    (a, b): (*const u8, *const u8),
    next: (*const u8, *const u8, *const f32),
    (steps, narrow): (usize, bool),
    c: *mut f32,
    c_bytes: usize,
    accumulate: bool,
) {
    // SAFETY: the caller's promise; a prefetch may name any address.
    unsafe {
        asm!(
            "test {accumulate}, {accumulate}",
            "jnz 2f",
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "jmp 3f",
            "2:",
            "tileloadd tmm0, [{c} + {c_bytes}]",
            "tileloadd tmm1, [{c} + {c_bytes} + 64]",
            "tileloadd tmm2, [{below} + {c_bytes}]",
            "tileloadd tmm3, [{below} + {c_bytes} + 64]",
            "3:",
            "test {narrow}, {narrow}",
            "jnz 4f",
            // seven loads of two tiles for 24 products: h and l, h and m, m and m, m and h, l and h, h and h
            load_a!("0"), load_b!("4096"), products!(), ahead!("0"),
            load_b!("2048"), products!(), ahead!("64"),
            load_a!("2048"), products!(), ahead!("128"), ahead!("192"),
            load_b!("0"), products!(), ahead!("256"),
            load_a!("4096"), products!(), ahead!("320"), ahead!("384"),
            load_a!("0"), products!(), ahead!("448"),
            "jmp 5f",
            // the three products that are left, in the same order: m and h, l and h, h and h
            "4:",
            load_a!("2048"), load_b!("0"), products!(), ahead!("0"), ahead!("64"), ahead!("128"),
            load_a!("4096"), products!(), ahead!("192"), ahead!("256"), ahead!("320"),
            load_a!("0"), products!(), ahead!("384"), ahead!("448"),
            "5:",
            "add {next_a}, 512",
            "add {next_b}, 512",
            "add {a}, 6144",
            "add {b}, 6144",
            "dec {steps}",
            "jnz 3b",
            "tilestored [{c} + {c_bytes}], tmm0",
            "tilestored [{c} + {c_bytes} + 64], tmm1",
            "tilestored [{below} + {c_bytes}], tmm2",
            "tilestored [{below} + {c_bytes} + 64], tmm3",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            next_a = inout(reg) next.0 => _,
            next_b = inout(reg) next.1 => _,
            next_c = inout(reg) next.2 => _,
            steps = inout(reg) steps => _,
            row = in(reg) 64usize,
            c = in(reg) c,
            below = in(reg) c.cast::<u8>().wrapping_add(16 * c_bytes),
            c_bytes = in(reg) c_bytes,
            accumulate = in(reg) usize::from(accumulate),
            narrow = in(reg) usize::from(narrow),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}
