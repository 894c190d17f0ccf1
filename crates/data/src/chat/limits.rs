//! What a template may spend. Fuel is the limit: the engine counts instructions and the data that they make, so a template
//! ends at the same place on every machine. Where the engine charges too late (values that are wider than the memory they
//! take, texts that fall into many pieces) it is charged here first. What is left over (compiling, comparing such values) is
//! bounded by the length of the source, by the processor time of the thread, by the growth of the process and at last by the
//! clock on the wall.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use crate::error::{DataError, Place, Result};

/// Stack of the thread that works on a template. The engine recurses over long chains of operators, which the length of a
/// template bounds, and over values in values, which the fuel bounds.
const STACK: usize = 256 << 20;

/// Processor time of the thread after which a template is given up, in hundredths of a second; the fuel is gone in a tenth.
const TICKS: u64 = 50;

/// Wall time after which a template is given up, however little of the processor it got.
const PATIENCE: Duration = Duration::from_secs(20);

/// Growth of the process, in bytes, after which a template is given up.
const GROWTH: u64 = 192 << 20;

/// Deepest nesting of a value that is written.
const DEEPEST: usize = 500;

pub(super) const RENDERABLE: &str = "a chat template that can be rendered";
pub(super) const TOO_MUCH: &str = "one that takes too long or makes too much";

/// Does `work` on a thread of its own, and gives it up when it takes too long or too much; such a thread ends with the
/// process. `memory` says what the process takes.
pub(super) fn apart<T: Send + 'static>(
    path: &Path,
    memory: Option<fn() -> Option<u64>>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (send, receive) = mpsc::channel();
    let (send_clock, clock) = mpsc::channel();
    let spawned = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        // nobody listens any more when the work was given up
        let _ = send_clock.send(File::open("/proc/thread-self/stat").ok());
        let _ = send.send(work());
    });
    spawned.map_err(|e| DataError::Io {
        path: path.to_path_buf(),
        action: "cannot start a thread for the template",
        source: e,
    })?;
    let clock = clock.recv().ok().flatten();
    let spent = || clock.as_ref().and_then(ticks).is_some_and(|n| n > TICKS);
    let (began, before) = (Instant::now(), memory.and_then(|bytes| bytes()));
    let grown = || memory.and_then(|bytes| bytes()).zip(before).is_some_and(|(now, before)| now > before + GROWTH);
    while began.elapsed() < PATIENCE && !spent() && !grown() {
        if let Ok(done) = receive.recv_timeout(Duration::from_millis(5)) {
            return Ok(done);
        }
    }
    Err(DataError::bad(path, Place::File, RENDERABLE, TOO_MUCH))
}

/// Hundredths of a second that the thread of `stat` had the processor: fields 14 and 15, after a name in brackets. Linux only.
fn ticks(stat: &File) -> Option<u64> {
    let mut bytes = [0; 512];
    let n = stat.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(&bytes[..n]).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

/// Charges for everything in `value` before it is written: a list that holds a list twice, and so on, is small and has no end.
pub(super) fn charge(state: &State<'_, '_>, value: &Value) -> std::result::Result<(), Error> {
    walk(state, value, 0)
}

fn walk(state: &State<'_, '_>, value: &Value, depth: usize) -> std::result::Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("a value nested more than {DEEPEST} deep is written")));
    }
    let map = value.kind() == ValueKind::Map;
    // an iterator of unknown length can be walked only once
    if !map && !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) || value.len().is_none() {
        return Ok(());
    }
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        walk(state, &item, depth + 1)?;
        if map {
            walk(state, &value.get_item(&item)?, depth + 1)?;
        }
    }
    Ok(())
}

/// Methods of Python's values. `title` of the library stops at other characters than Python's does.
pub(super) fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> std::result::Result<Value, Error> {
    match (value.as_str(), name) {
        (Some(text), "title") if args.is_empty() => return Ok(Value::from(title(text))),
        (Some(text), "split") => pieces(state, text, args.first())?,
        (Some(text), "splitlines") => pieces(state, text, Some(&Value::from("\n")))?,
        _ => {}
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
}

/// The filter `split`.
pub(super) fn split(
    state: &State<'_, '_>,
    value: &Value,
    separator: Option<Value>,
    most: Option<i64>,
) -> std::result::Result<Value, Error> {
    pieces(state, value.as_str().unwrap_or_default(), separator.as_ref())?;
    let separator = separator.filter(|s| !s.is_none() && !s.is_undefined());
    minijinja::filters::split(value, separator.map(TryInto::try_into).transpose()?, most)
}

/// The filter `lines`.
pub(super) fn lines(state: &State<'_, '_>, value: &Value) -> std::result::Result<Value, Error> {
    pieces(state, value.as_str().unwrap_or_default(), Some(&Value::from("\n")))?;
    minijinja::filters::lines(value)
}

/// Charges for the pieces that `text` falls into: a value has 24 bytes, and lists grow by doubling.
fn pieces(state: &State<'_, '_>, text: &str, separator: Option<&Value>) -> std::result::Result<(), Error> {
    let count = match separator.and_then(Value::as_str) {
        Some("") => text.len(),
        Some(separator) => text.matches(separator).count(),
        None => text.split_whitespace().count(),
    };
    state.consume_fuel((count + text.len() / 64) as u64)
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}
