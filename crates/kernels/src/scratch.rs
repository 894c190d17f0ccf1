//! Scratch memory of a task: one buffer a thread, grown once and kept, so that kernels allocate nothing inside a step.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Cpu;

/// How long a thread waits for the others to take part.
const PATIENCE: Duration = Duration::from_millis(200);

thread_local! {
    static BUFFER: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl Cpu {
    /// Grows the scratch of every thread to `len` floats at once, so that no later kernel has to.
    pub fn reserve_scratch(&self, len: usize) {
        let (threads, arrived) = (self.pool().threads(), AtomicUsize::new(0));
        self.pool().run(threads, &|_| {
            self.scratch(len, |_| ());
            arrived.fetch_add(1, Ordering::SeqCst);
            // Waiting for all others makes every thread take one task; a thread that is kept away grows later, when it must.
            let start = Instant::now();
            while arrived.load(Ordering::SeqCst) < threads && start.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        });
    }

    /// Calls `f` with `len` floats of this thread's scratch, contents unspecified.
    pub(crate) fn scratch<R>(&self, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
        let mut buffer = BUFFER.take();
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        let result = f(&mut buffer[..len]);
        BUFFER.set(buffer);
        result
    }
}
