//! Apple's Neural Engine through its private framework, as a device of [`ane`]. Elsewhere a stub that says so.
//!
//! Only `hardware` speaks Objective-C. What can be said without it is portable and tested anywhere: how a surface is sized,
//! which files a program needs and where, what the framework's attributes say about ports, how many programs a process may
//! compile.

#[cfg_attr(not(all(target_os = "macos", target_arch = "aarch64")), allow(dead_code))]
mod budget;
#[cfg_attr(not(all(target_os = "macos", target_arch = "aarch64")), allow(dead_code))]
mod folder;
#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
mod hardware;
mod info;
#[cfg_attr(not(all(target_os = "macos", target_arch = "aarch64")), allow(dead_code))]
mod ports;
#[cfg_attr(not(all(target_os = "macos", target_arch = "aarch64")), allow(dead_code))]
mod sizes;
#[cfg(not(all(target_os = "macos", target_arch = "aarch64")))]
mod stub;

#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
pub use hardware::{Binding, Hardware, Loaded, Memory, info, open};
pub use info::Info;
#[cfg(not(all(target_os = "macos", target_arch = "aarch64")))]
pub use stub::{Binding, Hardware, Loaded, Memory, info, open};
