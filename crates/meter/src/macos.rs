//! macOS: `getrusage`, Mach task and host information, `sysctl`, and the notification that carries thermal pressure.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::{MaybeUninit, size_of};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Battery, Thermal};

// Declared here: the libc crate is moving its Mach interface to another crate.
unsafe extern "C" {
    static mach_task_self_: u32;
    fn mach_host_self() -> u32;
    fn task_info(task: u32, flavor: u32, info: *mut i32, count: *mut u32) -> c_int;
    fn host_statistics64(host: u32, flavor: c_int, info: *mut i32, count: *mut u32) -> c_int;
    fn notify_register_check(name: *const c_char, token: *mut c_int) -> u32;
    fn notify_get_state(token: c_int, state: *mut u64) -> u32;
    fn notify_cancel(token: c_int) -> u32;
}

const MACH_TASK_BASIC_INFO: u32 = 20;
const HOST_VM_INFO64: c_int = 4;

/// `mach_task_basic_info`, packed to 4 bytes as in `<mach/task_info.h>`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
struct TaskBasicInfo {
    virtual_size: u64,
    resident_size: u64,
    resident_size_max: u64,
    user_time: [i32; 2],
    system_time: [i32; 2],
    policy: i32,
    suspend_count: i32,
}

/// The first fields of `vm_statistics64`; the rest is left to the reserve.
#[repr(C)]
#[derive(Clone, Copy)]
struct VmStatistics {
    free: u32,
    active: u32,
    inactive: u32,
    wired: u32,
    counters: [u64; 9],
    purgeable: u32,
    speculative: u32,
    reserve: [u64; 16],
}

fn task() -> Option<TaskBasicInfo> {
    let mut info = MaybeUninit::<TaskBasicInfo>::zeroed();
    let mut count = (size_of::<TaskBasicInfo>() / 4) as u32;
    // SAFETY: `info` has room for `count` words, and all-zero words are valid should fewer be written.
    unsafe {
        let status = task_info(mach_task_self_, MACH_TASK_BASIC_INFO, info.as_mut_ptr().cast(), &mut count);
        (status == 0).then(|| info.assume_init())
    }
}

pub fn peak_rss_bytes() -> Option<u64> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is a valid rusage for the call to fill; it is read only when the call succeeded.
    let usage = unsafe { (libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) == 0).then(|| usage.assume_init()) }?;
    u64::try_from(usage.ru_maxrss).ok()
}

pub fn rss_bytes() -> Option<u64> {
    task().map(|t| t.resident_size)
}

pub fn rss_of_files() -> Option<u64> {
    None
}

pub fn virtual_bytes() -> Option<u64> {
    task().map(|t| t.virtual_size)
}

pub fn total_memory() -> Option<u64> {
    let mut bytes = 0u64;
    let mut size = size_of::<u64>();
    // SAFETY: `bytes` has room for the `size` bytes of the answer.
    let status =
        unsafe { libc::sysctlbyname(c"hw.memsize".as_ptr(), (&raw mut bytes).cast(), &mut size, std::ptr::null_mut(), 0) };
    (status == 0 && size == size_of::<u64>()).then_some(bytes)
}

pub fn available_memory() -> Option<u64> {
    let mut info = MaybeUninit::<VmStatistics>::zeroed();
    let mut count = (size_of::<VmStatistics>() / 4) as u32;
    // SAFETY: `info` has room for `count` words, and all-zero words are valid should fewer be written.
    let info = unsafe {
        let status = host_statistics64(mach_host_self(), HOST_VM_INFO64, info.as_mut_ptr().cast(), &mut count);
        (status == 0).then(|| info.assume_init())
    }?;
    // SAFETY: no arguments that could be wrong.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some((u64::from(info.free) + u64::from(info.inactive) + u64::from(info.purgeable)) * page)
}

pub fn cpu_name() -> Option<String> {
    let mut text = [0u8; 256];
    let mut size = text.len();
    let name = c"machdep.cpu.brand_string".as_ptr();
    // SAFETY: `text` has room for the `size` bytes of the answer.
    let status = unsafe { libc::sysctlbyname(name, text.as_mut_ptr().cast::<c_void>(), &mut size, std::ptr::null_mut(), 0) };
    if status != 0 {
        return None;
    }
    CStr::from_bytes_until_nul(&text).ok().map(|s| s.to_string_lossy().into_owned())
}

pub fn busy_share(_during: std::time::Duration) -> Option<f64> {
    None
}

pub fn busy_seconds() -> Option<[f64; 2]> {
    None
}

pub fn thermal(_sys: &Path) -> Option<Thermal> {
    let level = pressure().or_else(|| crate::heat::pmset(&pmset("therm")?))?;
    Some(Thermal { celsius: None, level: Some(level) })
}

pub fn battery(_sys: &Path) -> Option<Battery> {
    crate::battery::pmset(&pmset("batt")?)
}

/// What `pmset -g` says of `what`.
fn pmset(what: &str) -> Option<String> {
    let output = Command::new("/usr/bin/pmset").args(["-g", what]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// The state that the notification of thermal pressure carries.
fn pressure() -> Option<&'static str> {
    let (mut token, mut state) = (0, 0u64);
    // SAFETY: the name is a C string, token and state are valid for the calls to fill; the token is given back.
    let status = unsafe {
        if notify_register_check(c"com.apple.system.thermalpressurelevel".as_ptr(), &mut token) != 0 {
            return None;
        }
        let status = notify_get_state(token, &mut state);
        notify_cancel(token);
        status
    };
    if status != 0 {
        return None;
    }
    crate::heat::LEVELS.get(usize::try_from(state).ok()?).copied()
}

pub fn cpu_seconds_of(_pid: u32) -> Option<f64> {
    None
}
