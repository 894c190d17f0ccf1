//! A system without meters.

use crate::{Battery, Thermal};

pub fn peak_rss_bytes() -> Option<u64> {
    None
}

pub fn rss_bytes() -> Option<u64> {
    None
}

pub fn rss_of_files() -> Option<u64> {
    None
}

pub fn virtual_bytes() -> Option<u64> {
    None
}

pub fn total_memory() -> Option<u64> {
    None
}

pub fn available_memory() -> Option<u64> {
    None
}

pub fn cpu_name() -> Option<String> {
    None
}

pub fn busy_share(_during: std::time::Duration) -> Option<f64> {
    None
}

pub fn busy_seconds() -> Option<[f64; 2]> {
    None
}

pub fn thermal(_sys: &std::path::Path) -> Option<Thermal> {
    None
}

pub fn battery(_sys: &std::path::Path) -> Option<Battery> {
    None
}

pub fn cpu_seconds_of(_pid: u32) -> Option<f64> {
    None
}
