#![allow(clippy::unwrap_used)]
mod simulation;
mod spaces;
mod statistics;
