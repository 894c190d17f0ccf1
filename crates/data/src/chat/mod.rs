//! Chat templates: a conversation to the text that a model was trained on.
//!
//! A template is a Jinja program that comes with the model. It is rendered as transformers renders it (`trim_blocks`,
//! `lstrip_blocks`, `raise_exception`, `strftime_now`, its own `tojson`, methods of Python's strings, `{% generation %}`
//! without effect), and trusted no more than any other file: it sees no file, no clock but the one that is given, and a
//! budget of fuel bounds its time and what it may allocate, the same on every machine (`limits`).

mod clock;
mod json;
mod limits;

pub use clock::Moment;

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, State, Value, context};
use serde_json::Value as Json;

use crate::error::{DataError, Place, Result};
use limits::{RENDERABLE, TOO_MUCH, apart};

/// Longest template; the longest of released models has about 20 kB. It bounds what compiling may take: a tree and a stack of
/// some hundred bytes for each byte.
const LONGEST: usize = 64 << 10;

/// What a rendering may spend: an instruction costs about one, and so do 64 bytes of data that it makes. Some tens of
/// milliseconds, and at most 64 MiB.
const FUEL: u64 = 1 << 20;

/// Longest text that a template may give.
const LONGEST_TEXT: usize = 16 << 20;

/// The name under which the engine knows the one template.
const NAME: &str = "chat";

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant`, or another that the template knows.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// What a template sees besides the messages.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Texts of special tokens by their names in `tokenizer_config.json`: `bos_token`, `eos_token`, ...
    pub special: Vec<(String, String)>,
    /// Date and time for `strftime_now`.
    pub now: Moment,
    /// Variables of the template's own, such as `enable_thinking`.
    pub variables: Vec<(String, Json)>,
    /// Bytes that the process takes at this moment, where they are known: a template that makes them grow is given up.
    pub memory: Option<fn() -> Option<u64>>,
}

/// A template that was read and compiled.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    path: PathBuf,
}

impl ChatTemplate {
    /// Compiles `source`; `path` is named in errors.
    ///
    /// # Errors
    /// [`DataError::Bad`] with the line of a mistake.
    pub fn new(source: &str, path: &Path) -> Result<Self> {
        if source.len() > LONGEST {
            let found = format!("{} bytes", source.len());
            return Err(DataError::bad(path, Place::File, format!("a chat template of at most {LONGEST} bytes"), found));
        }
        let source = without_generation(source);
        let compile = move || {
            let mut environment = environment()?;
            environment.add_template_owned(NAME, source)?;
            Ok(environment)
        };
        let environment = apart(path, None, compile)?.map_err(|e| failed(path, &e))?;
        Ok(Self { environment, path: path.to_path_buf() })
    }

    /// The text of `messages`, and of the beginning of the model's turn when `prompt` is true.
    ///
    /// # Errors
    /// [`DataError::Bad`] when the template refuses the conversation, fails, or goes beyond its limits.
    pub fn render(&self, messages: &[Message], prompt: bool, around: &Surroundings) -> Result<String> {
        let list = messages.iter().map(|m| Value::from_pairs([("role", m.role.as_str()), ("content", m.content.as_str())]));
        let list: Vec<Value> = list.collect();
        self.render_values(Value::from(list), prompt, around)
    }

    /// As [`ChatTemplate::render`], of messages as JSON: a list of objects.
    ///
    /// # Errors
    /// As there.
    pub fn render_json(&self, messages: &Json, prompt: bool, around: &Surroundings) -> Result<String> {
        self.render_values(json::value(messages), prompt, around)
    }

    fn render_values(&self, messages: Value, prompt: bool, around: &Surroundings) -> Result<String> {
        let mut environment = self.environment.clone();
        let now = around.now;
        environment.add_function("strftime_now", move |format: &str| {
            now.format(format).map_err(|what| Error::new(ErrorKind::InvalidOperation, what))
        });
        let own = around.variables.iter().map(|(name, value)| (name.clone(), json::value(value)));
        let special = around.special.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str())));
        let given = context! { messages, tools => (), documents => (), add_generation_prompt => prompt };
        let all = context! { ..Value::from_pairs(own), ..given, ..Value::from_pairs(special) };
        let render = move || environment.get_template(NAME)?.render(all);
        let text = apart(&self.path, around.memory, render)?.map_err(|e| failed(&self.path, &e))?;
        if text.len() > LONGEST_TEXT {
            let found = format!("{} bytes", text.len());
            return Err(DataError::bad(&self.path, Place::File, format!("a text of at most {LONGEST_TEXT} bytes"), found));
        }
        Ok(text)
    }
}

/// What transformers gives a template.
fn environment() -> std::result::Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(100);
    environment.set_unknown_method_callback(limits::method);
    environment.set_formatter(|out, state, value| {
        limits::charge(state, value)?;
        minijinja::escape_formatter(out, state, value)
    });
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("string", |state: &State<'_, '_>, value: &Value| {
        limits::charge(state, value)?;
        minijinja::filters::string(state, value)
    });
    environment.add_filter("split", limits::split);
    environment.add_filter("lines", limits::lines);
    environment.add_function("raise_exception", |message: &str| -> std::result::Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{REFUSED}{message}")))
    });
    Ok(environment)
}

/// Marks the words of `raise_exception`, which are the template's own.
const REFUSED: &str = "\u{0}";

fn failed(path: &Path, error: &Error) -> DataError {
    let place = error.line().map_or(Place::File, |line| Place::Line(line as u64));
    let detail = error.detail().unwrap_or_default();
    if let Some(message) = detail.strip_prefix(REFUSED) {
        let found = format!("one that it refuses: {}", shown(message));
        return DataError::bad(path, place, "a conversation that the chat template takes", found);
    }
    let found = match error.kind() {
        ErrorKind::OutOfFuel => TOO_MUCH.to_owned(),
        kind if detail.is_empty() => kind.to_string(),
        kind => format!("{kind}: {}", shown(detail)),
    };
    DataError::bad(path, place, RENDERABLE, found)
}

/// A message that may quote the file: without control characters, and short.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = text.chars().take(200).map(plain).collect();
    if text.chars().nth(200).is_some() {
        out.push_str("...");
    }
    out
}

/// The template with `{% generation %}` blocks, which mark what the model says for training, as blocks without effect.
fn without_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        rest = tag;
        // not before the tag has begun: `{%}` is no tag
        let Some(end) = tag[2..].find("%}").map(|at| at + 2) else { break };
        let inside = tag[2..end].trim_matches(['-', '+', ' ', '\t', '\n', '\r']);
        let other = match inside {
            "generation" => Some("with"),
            "endgeneration" => Some("endwith"),
            _ => None,
        };
        match other {
            Some(word) => out.push_str(&tag[..end + 2].replace(inside, word)),
            None => out.push_str(&tag[..end + 2]),
        }
        rest = &tag[end + 2..];
    }
    out.push_str(rest);
    out
}
