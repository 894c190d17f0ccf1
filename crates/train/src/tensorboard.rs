//! TensorBoard event files, without its libraries.
//!
//! A file is a chain of records (TFRecord): `length u64 | crc(length) u32 | data | crc(data) u32`, little-endian, with
//! CRC-32C rotated and shifted (`masked`) so that a checksum of data that holds checksums stays sound. The data is an `Event`
//! protocol buffer; only the handful of fields below is ever written:
//!
//! ```text
//! Event    { 1 wall_time double, 2 step int64, 3 file_version string, 5 summary }
//! Summary  { 1 value* }      Value { 1 tag, 2 simple_value float, 8 tensor, 9 metadata }
//! Metadata { 1 plugin_data { 1 plugin_name, 2 content }, 4 data_class }
//! Tensor   { 1 dtype, 2 shape { 2 dim { 1 size } }, 5 float_val, 8 string_val }
//! ```
//!
//! The content of the plugin `hparams`, under tags that it looks for:
//!
//! ```text
//! Data     { 1 version, 3 start, 4 end }      Start { 1 hparams* { 1 key, 2 value }, 5 seconds double }
//! End      { 1 status, 2 seconds double }     Value { 2 number double, 3 string, 4 bool }
//! ```
//!
//! A resumed run goes on in a new file of the same folder; TensorBoard reads the files of a folder in order of name.

mod crc;
mod proto;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::TrainError;
use crate::events::Event;
use proto::Message;

/// Class of the data of a summary that is a tensor.
const CLASS_TENSOR: u64 = 2;

/// Seconds that records wait at most, and their bytes: a write for each step would cost more than the record.
const WAIT: f64 = 1.0;
const WAITING: usize = 1 << 16;

/// Writes one event file, about once a second. What is not written yet when a process is killed is of steps that a run makes
/// again when it is resumed: with a checkpoint everything is written.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    waiting: Vec<u8>,
    /// When it was last written to.
    written: f64,
}

impl TensorBoard {
    /// Starts `events.out.tfevents.<seconds>.<host>.<pid>` in `folder`, which is made if need be. `seconds` is the wall time
    /// since 1970; a name that is taken (two sessions in one second) gets a number.
    pub fn create(folder: &Path, seconds: f64, host: &str, pid: u32) -> Result<TensorBoard, TrainError> {
        std::fs::create_dir_all(folder).map_err(|e| TrainError::io(folder, "create", e))?;
        let host: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        let stem = format!("events.out.tfevents.{:010}.{host}.{pid}", seconds.max(0.0) as u64);
        let (path, file) = create_unused(folder, &stem)?;
        let mut board = TensorBoard { path, file, waiting: Vec::new(), written: seconds };
        board.write(seconds, 0, |event| event.bytes(3, b"brain.Event:2"))?;
        board.flush(seconds)?;
        Ok(board)
    }

    /// A number at a step.
    pub fn scalar(&mut self, seconds: f64, step: u64, tag: &str, value: f32) -> Result<(), TrainError> {
        self.scalars(seconds, step, &[(tag, value)])
    }

    /// Several numbers at a step, in one record.
    pub fn scalars(&mut self, seconds: f64, step: u64, values: &[(&str, f32)]) -> Result<(), TrainError> {
        self.write(seconds, step, |event| {
            event.message(5, |summary| {
                for (tag, value) in values {
                    summary.message(1, |v| {
                        v.bytes(1, tag.as_bytes());
                        v.float(2, *value);
                    });
                }
            });
        })
    }

    /// A text (Markdown) at a step.
    pub fn text(&mut self, seconds: f64, step: u64, tag: &str, text: &str) -> Result<(), TrainError> {
        const STRING: u64 = 7;
        self.write(seconds, step, |event| {
            event.message(5, |summary| {
                summary.message(1, |value| {
                    value.bytes(1, tag.as_bytes());
                    value.message(8, |tensor| {
                        tensor.varint(1, STRING);
                        tensor.message(2, |shape| shape.message(2, |dim| dim.varint(1, 1)));
                        tensor.bytes(8, text.as_bytes());
                    });
                    value.message(9, |metadata| {
                        metadata.message(1, |plugin| plugin.bytes(1, b"text"));
                        metadata.varint(4, CLASS_TENSOR);
                    });
                });
            });
        })
    }

    /// The settings of a run, for the tables and plots of the plugin `hparams`; null is left out.
    pub fn settings(&mut self, seconds: f64, settings: &[(&str, Json)]) -> Result<(), TrainError> {
        self.hparams(seconds, "_hparams_/session_start_info", |data| {
            data.message(3, |start| {
                for (name, value) in settings.iter().filter(|(_, value)| !value.is_null()) {
                    start.message(1, |entry| {
                        entry.bytes(1, name.as_bytes());
                        entry.message(2, |v| hparam(v, value));
                    });
                }
                start.double(5, seconds);
            });
        })
    }

    /// How the session ended: a word of [`crate::events::Finished`].
    fn ended(&mut self, seconds: f64, status: &str) -> Result<(), TrainError> {
        let status = match status {
            "done" | "early-stop" => 1, // success
            "diverged" => 2,            // failure
            _ => 0,                     // unknown
        };
        self.hparams(seconds, "_hparams_/session_end_info", |data| {
            data.message(4, |end| {
                end.varint(1, status);
                end.double(2, seconds);
            });
        })
    }

    fn hparams(&mut self, seconds: f64, tag: &str, fill: impl FnOnce(&mut Message)) -> Result<(), TrainError> {
        const FLOAT: u64 = 1;
        self.write(seconds, 0, |event| {
            event.message(5, |summary| {
                summary.message(1, |value| {
                    value.bytes(1, tag.as_bytes());
                    // readers drop a value without a tensor, although this one says nothing
                    value.message(8, |tensor| {
                        tensor.varint(1, FLOAT);
                        tensor.message(2, |_| {});
                        tensor.float(5, 0.0);
                    });
                    value.message(9, |metadata| {
                        metadata.message(1, |plugin| {
                            plugin.bytes(1, b"hparams");
                            plugin.message(2, fill);
                        });
                        metadata.varint(4, CLASS_TENSOR);
                    });
                });
            });
        })
    }

    /// Shows an event under the run's tags; events without numbers or text are ignored.
    pub fn record(&mut self, seconds: f64, event: &Event) -> Result<(), TrainError> {
        match event {
            Event::Step(e) => self.scalars(
                seconds,
                e.step,
                &[
                    ("train/loss", e.loss as f32),
                    ("train/lr", e.lr),
                    ("train/grad_norm", e.grad_norm as f32),
                    ("perf/tokens_per_second", e.tokens_per_second as f32),
                    ("perf/rss_bytes", e.rss_bytes as f32),
                ],
            ),
            Event::Eval(e) => {
                self.scalars(seconds, e.step, &[("val/loss", e.val_loss as f32), ("val/loss_se", e.val_loss_se as f32)])?;
                e.val_bpb.map_or(Ok(()), |bpb| self.scalar(seconds, e.step, "val/bpb", bpb as f32))
            }
            Event::Sample(e) if e.prompt.is_empty() => self.text(seconds, e.step, "sample", &e.text),
            Event::Sample(e) => self.text(seconds, e.step, "sample", &format!("**{}**{}", e.prompt, e.text)),
            Event::Finished(e) => {
                self.ended(seconds, &e.status)?;
                self.flush(seconds)
            }
            Event::Saved(_) => self.flush(seconds),
            _ => Ok(()),
        }
    }

    fn write(&mut self, seconds: f64, step: u64, fill: impl FnOnce(&mut Message)) -> Result<(), TrainError> {
        let mut event = Message::default();
        event.double(1, seconds);
        event.varint(2, step);
        fill(&mut event);
        frame(&mut self.waiting, event.as_bytes());
        let due = seconds - self.written >= WAIT || self.waiting.len() >= WAITING;
        if due { self.flush(seconds) } else { Ok(()) }
    }

    /// Writes what waits.
    fn flush(&mut self, seconds: f64) -> Result<(), TrainError> {
        self.written = seconds;
        let written = self.file.write_all(&self.waiting).map_err(|e| TrainError::io(&self.path, "append to", e));
        self.waiting.clear();
        written
    }
}

impl Drop for TensorBoard {
    fn drop(&mut self) {
        // whoever needs to know whether it was written has ended the run before
        let _ = self.flush(self.written);
    }
}

fn hparam(value: &mut Message, json: &Json) {
    match json {
        Json::Bool(b) => value.varint(4, u64::from(*b)),
        Json::Number(n) => value.double(2, n.as_f64().unwrap_or(f64::NAN)),
        Json::String(s) => value.bytes(3, s.as_bytes()),
        other => value.bytes(3, other.to_string().as_bytes()),
    }
}

/// Appends the record that holds `data`.
fn frame(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(crc::masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(crc::masked(data).to_le_bytes());
}

fn create_unused(folder: &Path, stem: &str) -> Result<(PathBuf, File), TrainError> {
    let mut number = 0;
    loop {
        let path = folder.join(if number == 0 { stem.to_owned() } else { format!("{stem}.{number}") });
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
            Err(e) => return Err(TrainError::io(&path, "create", e)),
        }
    }
}

#[cfg(test)]
mod tests;
