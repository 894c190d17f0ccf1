//! A buffer of floats that grows on demand and is aligned to cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Floats aligned to 64 bytes.
#[derive(Default)]
pub(super) struct Buffer(Vec<Line>);

impl Buffer {
    /// A pointer to at least `len` floats of unspecified content.
    pub(super) fn at_least(&mut self, len: usize) -> *mut f32 {
        let lines = len.div_ceil(16);
        if self.0.len() < lines {
            // The old content is of no use: free it first, so that the two never live side by side.
            self.0 = Vec::new();
            self.0 = vec![Line([0.0; 16]); lines];
        }
        self.0.as_mut_ptr().cast()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len() * size_of::<Line>()
    }
}
