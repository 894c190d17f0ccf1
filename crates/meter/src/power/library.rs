//! Functions of a shared library that may not be there, found while the program runs.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_void};

/// A library that is open; it stays so as long as the process.
pub struct Library(*mut c_void);

// SAFETY: the handle is only handed to dlsym, which any thread may call.
unsafe impl Send for Library {}

impl Library {
    /// Opens the first of `names` that there is.
    ///
    /// # Errors
    /// In words: none of them is there.
    pub fn open(names: &[&CStr]) -> Result<Library, String> {
        // SAFETY: the names are C strings; initialisers of system libraries may run at any time.
        let open = |name: &&CStr| unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let found = names.iter().map(open).find(|handle| !handle.is_null());
        let listed = || names.iter().map(|n| n.to_string_lossy()).collect::<Vec<_>>().join(", ");
        found.map(Library).ok_or_else(|| format!("{} is not there", listed()))
    }

    /// The function called `name`, as a value of the function pointer type `F`.
    ///
    /// # Safety
    /// `F` is the type of a function pointer, and that of this function.
    ///
    /// # Errors
    /// In words: the library has none of this name.
    pub unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F, String> {
        // SAFETY: the handle is open and the name a C string.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if found.is_null() || size_of::<F>() != size_of::<*mut c_void>() {
            return Err(format!("{} is not in the library", name.to_string_lossy()));
        }
        // SAFETY: the caller vouches for the type; it is as large as a pointer.
        Ok(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&found) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_there_is_found_and_what_is_not_is_said() {
        assert!(Library::open(&[c"libnowhere.so.9"]).err().unwrap().contains("libnowhere.so.9 is not there"));
        let libm = if cfg!(target_os = "macos") { c"/usr/lib/libSystem.dylib" } else { c"libm.so.6" };
        let Ok(library) = Library::open(&[c"libnowhere.so.9", libm]) else {
            return eprintln!("SKIPPED: a library: no {libm:?}");
        };
        // SAFETY: `cos` of the C library.
        let cos: extern "C" fn(f64) -> f64 = unsafe { library.function(c"cos") }.unwrap();
        assert_eq!(cos(0.0), 1.0);
        // SAFETY: nothing is found.
        let none = unsafe { library.function::<extern "C" fn()>(c"no_such_function") };
        assert!(none.err().unwrap().contains("no_such_function"));
    }
}
