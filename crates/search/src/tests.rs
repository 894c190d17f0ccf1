#![allow(clippy::unwrap_used)]
mod hostile;
mod simulation;
mod spaces;
mod statistics;
