#![allow(clippy::unwrap_used)]
mod commits;
mod hostile;
mod simulation;
mod spaces;
mod statistics;
