//! What one input may cost: memory by an allocator that counts, time by the processor's clock, so that a busy machine
//! makes no finding.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

/// Processor seconds that one input may take.
const SECONDS: f64 = 1.0;

/// The system's allocator, with a count of the bytes that live.
pub struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);
/// Live bytes at which the process ends; 0 while nothing is measured.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        let moved = unsafe { System.realloc(at, layout, size) };
        LIVE.fetch_sub(layout.size() as i64, Relaxed);
        moved
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes as i64, Relaxed) + bytes as i64;
    let limit = LIMIT.load(Relaxed);
    if limit != 0 && PEAK.fetch_max(live, Relaxed) < live && live > limit as i64 {
        LIMIT.store(0, Relaxed); // the message allocates too
        eprintln!("an allocation of {bytes} bytes makes {live}, beyond the bound of {limit} bytes for this input");
        std::process::abort(); // an allocator must not unwind; libFuzzer takes it for a crash
    }
}

/// Runs `read`, which may allocate `bytes` beyond what lives now and take [`SECONDS`].
pub fn within(bytes: usize, read: impl FnOnce()) {
    let (before, began) = (LIVE.load(Relaxed), seconds());
    PEAK.store(before, Relaxed);
    LIMIT.store(before.max(0) as usize + bytes, Relaxed);
    read();
    LIMIT.store(0, Relaxed);
    let took = seconds() - began;
    assert!(took <= SECONDS, "the input took {took:.2} s of the processor, allowed are {SECONDS}");
    PEAK.fetch_sub(before, Relaxed);
}

/// Most bytes that lived during the last input.
#[cfg(not(fuzzing))]
pub fn peak() -> i64 {
    PEAK.load(Relaxed)
}

/// Processor time of this process.
fn seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the structure that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Ends the process at once and without a word to libFuzzer.
pub fn leave() -> ! {
    // SAFETY: nothing is left to be done by anyone in this process.
    unsafe { libc::_exit(0) }
}
