//! `autoane train`, driven end to end: each case is named by what would go wrong without it.
#![allow(clippy::unwrap_used)]

mod adapters;
mod arithmetic;
mod common;
mod completions;
mod data;
mod device;
mod equality;
mod files;
mod local;
mod lora;
mod manners;
mod record;
mod robust;
#[cfg(unix)]
mod trackers;
mod zeroth;
