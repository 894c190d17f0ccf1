//! One verb a file.

pub mod bench;
pub mod chat;
pub mod completions;
pub mod convert;
pub mod dash;
pub mod data;
pub mod doctor;
pub mod eval;
pub mod explain;
pub mod generate;
pub mod inspect;
pub mod logits;
pub mod man;
pub mod mil;
pub mod models;
pub mod power;
pub mod report;
pub mod search;
pub mod train;
pub mod verify;
