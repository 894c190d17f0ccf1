//! Surfaces: memory that processor and engine share.

#![allow(unsafe_code)]

use std::ptr;
use std::slice;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use ane::{DeviceError, Stage, Surface};
use objc2::encode::{Encode, Encoding, RefEncode};
use objc2::msg_send;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::AnyObject;
use objc2_core_foundation::{CFDictionary, CFNumber, CFRetained, CFString};
use objc2_io_surface::{self as io, IOSurfaceLockOptions, IOSurfaceRef};

use super::exception::guarded;
use super::{Shared, failed};
use crate::sizes;

/// What messages call a surface, which belongs to no kernel.
const NAME: &str = "surface";

/// Pointer to a surface, as the framework declares it: `^{__IOSurface=}`.
#[repr(transparent)]
struct SurfacePointer(*const IOSurfaceRef);

// SAFETY: a pointer to the structure of this name.
unsafe impl Encode for SurfacePointer {
    const ENCODING: Encoding = Encoding::Pointer(&Encoding::Struct("__IOSurface", &[]));
}

// SAFETY: as above, one pointer further.
unsafe impl RefEncode for SurfacePointer {
    const ENCODING_REF: Encoding = Encoding::Pointer(&Self::ENCODING);
}

/// A surface. A clone is the same memory.
#[derive(Clone)]
pub struct Memory(Arc<Allocation>);

struct Allocation {
    surface: CFRetained<IOSurfaceRef>,
    /// The framework's object for it.
    object: Retained<AnyObject>,
    bytes: usize,
    /// Who uses the bytes: slices are given out under it, and programs run under it.
    users: RwLock<()>,
    shared: Arc<Shared>,
}

// SAFETY: surfaces are made to be used from any thread and process; the framework's object for one is never changed after it
// was made; the bytes are reached under `users` alone.
unsafe impl Send for Allocation {}
// SAFETY: as above.
unsafe impl Sync for Allocation {}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.shared.count(|c| c.surface_bytes -= self.bytes as u64);
    }
}

impl Memory {
    /// A surface of at least `bytes` bytes, zeroed.
    pub(super) fn new(shared: &Arc<Shared>, bytes: usize) -> Result<Memory, DeviceError> {
        let refused = |text: &str| failed(NAME, Stage::Surface, "IOSurface", 0, format!("{text} ({bytes} bytes)"));
        let size = sizes::surface(bytes).filter(|size| i64::try_from(*size).is_ok());
        let size = size.ok_or_else(|| refused("larger than memory"))?;
        // SAFETY: a dictionary of the keys and of the numbers that the call documents.
        let surface = unsafe { IOSurfaceRef::new(properties(size).as_opaque()) };
        let surface = surface.ok_or_else(|| refused("the system does not give a surface"))?;
        if surface.alloc_size() < size {
            return Err(refused("the system gives a smaller surface"));
        }
        let class = shared.classes.surface;
        let pointer = SurfacePointer(&raw const *surface);
        // SAFETY: the method takes a surface and gives an object, or nil; the object holds the surface.
        let make = || -> Option<Retained<AnyObject>> { unsafe { msg_send![class, objectWithIOSurface: pointer] } };
        let object = autoreleasepool(|_| guarded(make)).map_err(|raised| refused(&raised.0))?;
        let object = object.ok_or_else(|| refused("the framework does not take the surface"))?;
        shared.count(|c| c.surface_bytes += size as u64);
        let memory =
            Memory(Arc::new(Allocation { surface, object, bytes: size, users: RwLock::new(()), shared: shared.clone() }));
        memory.write(|all| all.fill(0))?;
        Ok(memory)
    }

    /// The framework's object for it.
    pub(super) fn object(&self) -> &AnyObject {
        &self.0.object
    }

    /// Holds it for reading by a running program.
    pub(super) fn reading(&self) -> Result<RwLockReadGuard<'_, ()>, DeviceError> {
        held(self.0.users.try_read(), "it is being written")
    }

    /// Holds it for writing by a running program.
    pub(super) fn writing(&self) -> Result<RwLockWriteGuard<'_, ()>, DeviceError> {
        held(self.0.users.try_write(), "it is being read or written")
    }
}

/// A lock that was asked for; bytes are as good after a panic as before.
fn held<G>(asked: Result<G, TryLockError<G>>, otherwise: &str) -> Result<G, DeviceError> {
    match asked {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(failed(NAME, Stage::Surface, "autoane", 0, otherwise.to_owned())),
    }
}

impl Surface for Memory {
    fn len(&self) -> usize {
        self.0.bytes
    }

    fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Result<R, DeviceError> {
        let _held = self.reading()?;
        let lock = Lock::new(&self.0.surface, IOSurfaceLockOptions::ReadOnly)?;
        // SAFETY: the surface has that many bytes, is locked, and nobody writes it while `_held` lives.
        Ok(f(unsafe { slice::from_raw_parts(lock.base(), self.0.bytes) }))
    }

    fn write<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, DeviceError> {
        let _held = self.writing()?;
        let lock = Lock::new(&self.0.surface, IOSurfaceLockOptions::empty())?;
        // SAFETY: the surface has that many bytes, is locked, and nobody else uses it while `_held` lives.
        Ok(f(unsafe { slice::from_raw_parts_mut(lock.base(), self.0.bytes) }))
    }
}

/// A lock of a surface against the engine's caches; unlocked with the same options when it is dropped.
struct Lock<'s> {
    surface: &'s IOSurfaceRef,
    options: IOSurfaceLockOptions,
}

impl Lock<'_> {
    fn new(surface: &IOSurfaceRef, options: IOSurfaceLockOptions) -> Result<Lock<'_>, DeviceError> {
        // SAFETY: the seed may be null.
        match unsafe { surface.lock(options, ptr::null_mut()) } {
            0 => Ok(Lock { surface, options }),
            code => Err(failed(NAME, Stage::Surface, "IOSurfaceLock", i64::from(code), "it cannot be locked".to_owned())),
        }
    }

    fn base(&self) -> *mut u8 {
        self.surface.base_address().as_ptr().cast()
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // SAFETY: it was locked with these options. There is nothing to do about a failure.
        let _ = unsafe { self.surface.unlock(self.options, ptr::null_mut()) };
    }
}

/// One row of `size` bytes, without a format.
fn properties(size: usize) -> CFRetained<CFDictionary<CFString, CFNumber>> {
    // SAFETY: constants of the framework, which is linked.
    let (width, height, element) = unsafe { (io::kIOSurfaceWidth, io::kIOSurfaceHeight, io::kIOSurfaceBytesPerElement) };
    // SAFETY: as above.
    let (row, all, format) = unsafe { (io::kIOSurfaceBytesPerRow, io::kIOSurfaceAllocSize, io::kIOSurfacePixelFormat) };
    let (bytes, one, zero) = (CFNumber::new_i64(size as i64), CFNumber::new_i64(1), CFNumber::new_i64(0));
    CFDictionary::from_slices(&[width, height, element, row, all, format], &[&bytes, &one, &one, &bytes, &bytes, &zero])
}
