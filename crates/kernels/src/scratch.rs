//! Scratch memory of a task: one buffer a thread, grown once and kept, so that kernels allocate nothing inside a step.

use std::cell::Cell;

use crate::Cpu;

thread_local! {
    static BUFFER: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl Cpu {
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
