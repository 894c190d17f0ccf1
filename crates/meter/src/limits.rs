//! What every Unix says through libc.
#![cfg_attr(unix, allow(unsafe_code))]

/// Limit of this process's address space in bytes; `None` when there is none.
#[cfg(unix)]
pub fn address_space() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the call to fill.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Bytes of a page of memory.
#[cfg(target_os = "linux")]
pub fn page_bytes() -> Option<u64> {
    // SAFETY: no memory is handed over.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok().filter(|n| *n > 0)
}

/// Load averages over 1, 5 and 15 minutes.
#[cfg(unix)]
pub fn load_average() -> Option<[f64; 3]> {
    let mut load = [0.0; 3];
    // SAFETY: `load` has room for the three numbers that are asked for.
    let n = unsafe { libc::getloadavg(load.as_mut_ptr(), 3) };
    (n == 3).then_some(load)
}

/// Processor time of this process so far, its own and the kernel's for it, in seconds.
#[cfg(unix)]
pub fn cpu_seconds() -> Option<f64> {
    // SAFETY: zeros are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid rusage for the call to fill.
    let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    (status == 0).then(|| seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// Niceness of at least `nice` for the calling thread and those that it starts; whether it has it.
#[cfg(unix)]
pub fn give_way(nice: i32) -> bool {
    // SAFETY: 0 is whoever calls; no memory is handed over.
    let now = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // SAFETY: as above.
    now >= nice || unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } == 0
}

/// Not granted.
#[cfg(not(unix))]
pub fn give_way(_nice: i32) -> bool {
    false
}

/// Ticks of the clock that `/proc` counts processor time by.
#[cfg(target_os = "linux")]
pub fn ticks_per_second() -> Option<f64> {
    // SAFETY: the call takes no pointer.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (ticks > 0).then_some(ticks as f64)
}

/// Not known.
#[cfg(not(unix))]
pub fn cpu_seconds() -> Option<f64> {
    None
}

/// Not limited.
#[cfg(not(unix))]
pub fn address_space() -> Option<u64> {
    None
}

/// Not known.
#[cfg(not(unix))]
pub fn load_average() -> Option<[f64; 3]> {
    None
}
