//! NVML: the driver's library for GPUs of NVIDIA, opened while the program runs, so that nothing is needed to build it.
//!
//! From Volta on the driver counts millijoules itself (`nvmlDeviceGetTotalEnergyConsumption`), which is exact between any two
//! readings; `nvidia-smi` only shows milliwatts now and then. Older GPUs give milliwatts, which are taken for the time since
//! the last reading.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::time::Instant;

use super::{Part, PowerMeter};

type Handle = *mut c_void;
/// 0 is success.
type Status = c_int;

/// What is called of the library.
#[derive(Clone, Copy)]
struct Functions {
    init: unsafe extern "C" fn() -> Status,
    shutdown: unsafe extern "C" fn() -> Status,
    error_string: unsafe extern "C" fn(Status) -> *const c_char,
    count: unsafe extern "C" fn(*mut c_uint) -> Status,
    handle: unsafe extern "C" fn(c_uint, *mut Handle) -> Status,
    /// Millijoules since the driver was loaded; drivers of before 2018 have no such function.
    energy: Option<unsafe extern "C" fn(Handle, *mut u64) -> Status>,
    /// Milliwatts.
    power: unsafe extern "C" fn(Handle, *mut c_uint) -> Status,
}

/// A GPU and what it has used.
struct Gpu {
    /// Number among those of the driver.
    index: c_uint,
    handle: Handle,
    how: How,
    joules: f64,
}

/// How a GPU tells.
enum How {
    /// Counts millijoules; so many at the last reading.
    Counter(u64),
    /// Tells milliwatts; when it last did.
    Power(Instant),
}

/// The GPUs of this machine.
pub struct Nvml {
    functions: Functions,
    gpus: Vec<Gpu>,
    _library: Option<Loaded>,
}

#[cfg(unix)]
type Loaded = super::library::Library;
#[cfg(not(unix))]
type Loaded = ();

// SAFETY: the library may be called from any thread; handles are names of devices, not memory of a thread.
#[allow(unsafe_code)]
unsafe impl Send for Nvml {}

impl Nvml {
    /// Every GPU that the driver shows.
    ///
    /// # Errors
    /// In words: no driver, no GPU, or none that tells what it uses.
    #[cfg(unix)]
    pub fn open() -> Result<Nvml, String> {
        let library = Loaded::open(&[c"libnvidia-ml.so.1", c"libnvidia-ml.so"]).map_err(|why| format!("{why}: no driver"))?;
        let functions = load(&library)?;
        let mut nvml = Nvml::with(functions)?;
        nvml._library = Some(library);
        Ok(nvml)
    }

    /// There is none.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub fn open() -> Result<Nvml, String> {
        Err("not looked for on this system".to_owned())
    }

    #[allow(unsafe_code)]
    fn with(functions: Functions) -> Result<Nvml, String> {
        // SAFETY: first call to the library.
        check(&functions, "nvmlInit", unsafe { (functions.init)() })?;
        let mut nvml = Nvml { functions, gpus: Vec::new(), _library: None };
        let mut count = 0;
        // SAFETY: `count` is there to be written.
        check(&functions, "nvmlDeviceGetCount", unsafe { (functions.count)(&mut count) })?;
        let mut silent = "the driver shows no GPU".to_owned();
        for index in 0..count {
            let mut handle = std::ptr::null_mut();
            // SAFETY: `handle` is there to be written.
            let status = unsafe { (functions.handle)(index, &mut handle) };
            check(&functions, "nvmlDeviceGetHandleByIndex", status)?;
            // a GPU that tells neither is left out: another may do the work
            let how = match (energy(&functions, handle), power(&functions, handle)) {
                (Ok(now), _) => How::Counter(now),
                (_, Ok(_)) => How::Power(Instant::now()),
                (_, Err(why)) => {
                    silent = format!("GPU {index} tells nothing: {why}");
                    continue;
                }
            };
            nvml.gpus.push(Gpu { index, handle, how, joules: 0.0 });
        }
        if nvml.gpus.is_empty() { Err(silent) } else { Ok(nvml) }
    }
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn load(library: &Loaded) -> Result<Functions, String> {
    // SAFETY: the types are those of nvml.h; `_v2` are the names behind its macros.
    unsafe {
        Ok(Functions {
            init: library.function(c"nvmlInit_v2")?,
            shutdown: library.function(c"nvmlShutdown")?,
            error_string: library.function(c"nvmlErrorString")?,
            count: library.function(c"nvmlDeviceGetCount_v2")?,
            handle: library.function(c"nvmlDeviceGetHandleByIndex_v2")?,
            energy: library.function(c"nvmlDeviceGetTotalEnergyConsumption").ok(),
            power: library.function(c"nvmlDeviceGetPowerUsage")?,
        })
    }
}

#[allow(unsafe_code)]
fn check(functions: &Functions, what: &str, status: Status) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the library gives a static C string for any number.
    let text = unsafe { (functions.error_string)(status) };
    // SAFETY: not null, and as above.
    let text = if text.is_null() { "unknown".into() } else { unsafe { CStr::from_ptr(text) }.to_string_lossy() };
    Err(format!("{what}: {text} ({status})"))
}

#[allow(unsafe_code)]
fn energy(functions: &Functions, gpu: Handle) -> Result<u64, String> {
    let count = functions.energy.ok_or("the driver counts no energy")?;
    let mut millijoules = 0;
    // SAFETY: the handle is the library's, the number there to be written.
    let status = unsafe { count(gpu, &mut millijoules) };
    check(functions, "nvmlDeviceGetTotalEnergyConsumption", status).map(|()| millijoules)
}

#[allow(unsafe_code)]
fn power(functions: &Functions, gpu: Handle) -> Result<c_uint, String> {
    let mut milliwatts = 0;
    // SAFETY: the handle is the library's, the number there to be written.
    let status = unsafe { (functions.power)(gpu, &mut milliwatts) };
    check(functions, "nvmlDeviceGetPowerUsage", status).map(|()| milliwatts)
}

impl PowerMeter for Nvml {
    fn name(&self) -> String {
        "NVML".to_owned()
    }

    fn parts(&self) -> Vec<Part> {
        self.gpus.iter().map(|gpu| Part::new(format!("gpu-{}", gpu.index), true)).collect()
    }

    fn joules(&mut self) -> Result<Vec<f64>, String> {
        for gpu in &mut self.gpus {
            match &mut gpu.how {
                How::Counter(last) => {
                    let now = energy(&self.functions, gpu.handle)?;
                    // a driver that is loaded anew begins at 0
                    gpu.joules += now.saturating_sub(*last) as f64 / 1e3;
                    *last = now;
                }
                How::Power(last) => {
                    let watts = f64::from(power(&self.functions, gpu.handle)?) / 1e3;
                    gpu.joules += watts * last.elapsed().as_secs_f64();
                    *last = Instant::now();
                }
            }
        }
        Ok(self.gpus.iter().map(|g| g.joules).collect())
    }
}

impl Drop for Nvml {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the library was initialised once by this value.
        unsafe { (self.functions.shutdown)() };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, unsafe_code)]
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    static MILLIJOULES: AtomicU64 = AtomicU64::new(1_000_000);
    const OLD: usize = 8;

    unsafe extern "C" fn fine() -> Status {
        0
    }
    unsafe extern "C" fn no_driver() -> Status {
        9
    }
    unsafe extern "C" fn words(_: Status) -> *const c_char {
        c"Driver Not Loaded".as_ptr()
    }
    unsafe extern "C" fn two(count: *mut c_uint) -> Status {
        unsafe { *count = 2 };
        0
    }
    unsafe extern "C" fn none(count: *mut c_uint) -> Status {
        unsafe { *count = 0 };
        0
    }
    /// The second is an old one.
    unsafe extern "C" fn handle(index: c_uint, handle: *mut Handle) -> Status {
        unsafe { *handle = std::ptr::without_provenance_mut(if index == 1 { OLD } else { 1 }) };
        0
    }
    unsafe extern "C" fn energy_of(gpu: Handle, millijoules: *mut u64) -> Status {
        if gpu.addr() == OLD {
            return 3;
        }
        unsafe { *millijoules = MILLIJOULES.load(Ordering::SeqCst) };
        0
    }
    unsafe extern "C" fn power_of(_: Handle, milliwatts: *mut c_uint) -> Status {
        unsafe { *milliwatts = 250_000 };
        0
    }

    const FAKE: Functions = Functions {
        init: fine,
        shutdown: fine,
        error_string: words,
        count: two,
        handle,
        energy: Some(energy_of),
        power: power_of,
    };

    #[test]
    fn counters_are_read_as_millijoules_and_older_gpus_by_their_power() {
        let mut nvml = Nvml::with(FAKE).unwrap();
        assert_eq!(nvml.parts(), [Part::new("gpu-0", true), Part::new("gpu-1", true)]);
        MILLIJOULES.fetch_add(2_500, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(40));
        let joules = nvml.joules().unwrap();
        assert_eq!(joules[0], 2.5);
        assert!(joules[1] >= 10.0 && joules[1] < 250.0, "250 W for 40 ms or a little more: {joules:?}");
    }

    unsafe extern "C" fn silent(_: Handle, _: *mut c_uint) -> Status {
        3
    }

    #[test]
    fn a_gpu_that_tells_nothing_hides_no_other() {
        let parts = |functions| Nvml::with(functions).map(|nvml| nvml.parts());
        assert_eq!(parts(Functions { power: silent, ..FAKE }).unwrap(), [Part::new("gpu-0", true)]);
        assert_eq!(
            parts(Functions { energy: None, ..FAKE }).unwrap().len(),
            2,
            "by their power, where the driver counts nothing"
        );
        let why = parts(Functions { energy: None, power: silent, ..FAKE }).unwrap_err();
        assert!(why.starts_with("GPU 1 tells nothing: nvmlDeviceGetPowerUsage"), "{why}");
    }

    #[test]
    fn what_the_library_says_is_passed_on() {
        let why = |functions| Nvml::with(functions).err().unwrap();
        assert_eq!(why(Functions { init: no_driver, ..FAKE }), "nvmlInit: Driver Not Loaded (9)");
        assert_eq!(why(Functions { count: none, ..FAKE }), "the driver shows no GPU");
    }
}
