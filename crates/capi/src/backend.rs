//! The device of this process: opened once, by `ane_bridge_init`.

use std::sync::OnceLock;

use ane::{DeviceError, Profile, Simulator};

use crate::bridge::Bridge;
use crate::error::BridgeError;

/// The device of this platform.
type Backend = Simulator;

static BRIDGE: OnceLock<Bridge<Backend>> = OnceLock::new();

/// Opens the device, or finds it open.
pub fn open() -> Result<&'static Bridge<Backend>, BridgeError> {
    if let Some(bridge) = BRIDGE.get() {
        return Ok(bridge);
    }
    // two threads may get here: one bridge is dropped, unused
    let bridge = Bridge::new(device()?);
    Ok(BRIDGE.get_or_init(|| bridge))
}

/// The open device.
pub fn get() -> Result<&'static Bridge<Backend>, BridgeError> {
    BRIDGE.get().ok_or(BridgeError::NotOpen)
}

/// Words of a profile of the simulator, such as `m4,strict` or `m1,evaluate=3`, where it is the device.
const PROFILE: &str = "ANE_BRIDGE_SIM";

fn device() -> Result<Backend, BridgeError> {
    let words = std::env::var(PROFILE).unwrap_or_default();
    let profile = words.parse::<Profile>().map_err(|e| DeviceError::Unavailable(format!("{PROFILE}: {e}")))?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    Ok(Simulator::new(profile, threads))
}
