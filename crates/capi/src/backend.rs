//! The device of this process, opened once by `ane_bridge_init`: the Neural Engine on a Mac, the simulator elsewhere, and
//! wherever the environment names a profile of it.

use std::sync::OnceLock;

use ane::{DeviceError, Profile, Simulator};

use crate::bridge::{Bridge, Kernels};
use crate::error::BridgeError;

/// Words of a profile of the simulator, such as `m4,strict` or `m1,evaluate=3`.
const PROFILE: &str = "ANE_BRIDGE_SIM";

type Open = Box<dyn Kernels + Send + Sync>;

static BRIDGE: OnceLock<Open> = OnceLock::new();

/// Opens the device, or finds it open.
pub fn open() -> Result<(), BridgeError> {
    if BRIDGE.get().is_none() {
        let bridge = device()?;
        // two threads may get here: the second bridge is dropped, unused
        BRIDGE.get_or_init(|| bridge);
    }
    Ok(())
}

/// The open device.
pub fn get() -> Result<&'static (dyn Kernels + Send + Sync), BridgeError> {
    BRIDGE.get().map(Box::as_ref).ok_or(BridgeError::NotOpen)
}

fn device() -> Result<Open, DeviceError> {
    match std::env::var(PROFILE) {
        Ok(words) => simulator(&words),
        Err(_) if cfg!(all(target_os = "macos", target_arch = "aarch64")) => Ok(Box::new(Bridge::new(ane_macos::open()?))),
        Err(_) => simulator(""),
    }
}

fn simulator(words: &str) -> Result<Open, DeviceError> {
    let profile = words.parse::<Profile>().map_err(|e| DeviceError::Unavailable(format!("{PROFILE}: {e}")))?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    Ok(Box::new(Bridge::new(Simulator::new(profile, threads))))
}
