//! Apple's Neural Engine through its private framework. Elsewhere a stub that says so.
