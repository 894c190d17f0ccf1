//! Lines of JSONL: documents, prompts with their completions, or conversations, and which of their text is learned.
//!
//! A line with `text` is a document, all of it learned. Of `prompt` + `completion` the completion is learned; of `messages`
//! what the assistant says is, as the chat template writes it: the text of `messages[..i]` with the beginning of a turn is
//! the prompt, and what `messages[..=i]` adds to it is the reply. That needs a template whose text of the first messages is a
//! beginning of the text of all of them, which is checked.

use crate::chat::{ChatTemplate, Message, Moment, Surroundings};
use crate::error::{DataError, Place, Result};
use serde::Deserialize;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Most messages of a conversation: each reply has the template rendered twice over all before it.
const MOST_MESSAGES: usize = 1024;

/// The date that a template is told: a corpus must not depend on the day on which it is prepared.
const DATE: Moment = Moment { seconds: 1_721_952_000 }; // 26 July 2024, what templates that know no date write

/// What all lines of a corpus are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Completion,
    Messages,
}

/// A document of which a part is learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) path: Arc<Path>,
    /// Counted from 1.
    pub(crate) line: u64,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Completion { prompt: String, completion: String },
    Messages(Vec<Message>),
}

/// A stretch of text that is learned, or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) text: String,
    pub(crate) learned: bool,
}

/// One line, parsed.
pub(crate) enum Line<'a> {
    Text(Cow<'a, str>),
    Learned(Content),
}

#[derive(Deserialize)]
struct TextLine<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct CompletionLine {
    prompt: String,
    completion: String,
}

#[derive(Deserialize)]
struct MessagesLine {
    messages: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

impl Form {
    fn expected(self) -> &'static str {
        match self {
            Form::Text => "a JSON object with a string field \"text\"",
            Form::Completion => "a JSON object with string fields \"prompt\" and \"completion\"",
            Form::Messages => "a JSON object with a field \"messages\", a list of {\"role\": string, \"content\": string}",
        }
    }

    fn of_keys(keys: &[String]) -> Option<Form> {
        let has = |name: &str| keys.iter().any(|key| key == name);
        match () {
            () if has("text") => Some(Form::Text),
            () if has("messages") => Some(Form::Messages),
            () if has("prompt") && has("completion") => Some(Form::Completion),
            () => None,
        }
    }

    /// Reads line `number` of `path`. The first line of a corpus settles the form of all.
    pub(crate) fn parse<'a>(form: &mut Option<Form>, path: &Path, number: u64, text: &'a str) -> Result<Line<'a>> {
        let known = match *form {
            Some(form) => form,
            // most corpora are text: their keys need not be looked at
            None if serde_json::from_str::<TextLine<'_>>(text).is_ok() => Form::Text,
            None => Form::of_keys(&keys(text).unwrap_or_default()).unwrap_or(Form::Text),
        };
        let line = known.read(text).map_err(|e| known.mismatch(*form, (path, number), text, &e))?;
        *form = Some(known);
        Ok(line)
    }

    fn read<'a>(self, text: &'a str) -> serde_json::Result<Line<'a>> {
        Ok(match self {
            Form::Text => Line::Text(serde_json::from_str::<TextLine<'_>>(text)?.text),
            Form::Completion => {
                let CompletionLine { prompt, completion } = serde_json::from_str(text)?;
                Line::Learned(Content::Completion { prompt, completion })
            }
            Form::Messages => {
                let turns = serde_json::from_str::<MessagesLine>(text)?.messages.into_iter();
                Line::Learned(Content::Messages(turns.map(|t| Message { role: t.role, content: t.content }).collect()))
            }
        })
    }

    fn mismatch(self, settled: Option<Form>, at: (&Path, u64), text: &str, error: &serde_json::Error) -> DataError {
        let keys = keys(text);
        let named = |keys: &Vec<String>| {
            let list: Vec<String> = keys.iter().take(8).map(|key| format!("{key:?}")).collect();
            if list.is_empty() { "no keys".to_owned() } else { format!("the keys {}", list.join(", ")) }
        };
        let found = keys.as_ref().map_or_else(|| error.to_string(), |keys| format!("{} ({error})", named(keys)));
        let expected = match settled {
            Some(form) => format!("{}, as in the lines before", form.expected()),
            None if keys.as_ref().is_some_and(|keys| Form::of_keys(keys).is_some()) => self.expected().to_owned(),
            None => "a JSON object with \"text\", with \"prompt\" and \"completion\", or with \"messages\"".to_owned(),
        };
        DataError::bad(at.0, Place::Line(at.1), expected, found)
    }

    /// A `.txt` file among the files of a corpus.
    pub(crate) fn plain(form: &mut Option<Form>, path: &Path) -> Result<()> {
        match form.get_or_insert(Form::Text) {
            Form::Text => Ok(()),
            other => {
                let expected = format!("a file with lines as in the files before: {}", other.expected());
                Err(DataError::bad(path, Place::File, expected, "plain text; prepare it apart"))
            }
        }
    }
}

/// The keys of an object; `None` for anything else.
fn keys(text: &str) -> Option<Vec<String>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    Some(object.keys().cloned().collect())
}

/// A chat template, and what it sees.
#[derive(Debug)]
pub(crate) struct Chat {
    template: ChatTemplate,
    around: Surroundings,
}

impl Chat {
    pub(crate) fn new(template: ChatTemplate, special: Vec<(String, String)>) -> Self {
        Self { template, around: Surroundings { special, now: DATE, variables: Vec::new(), memory: None } }
    }

    /// The text of `messages`, cut where replies begin and end.
    fn segments(&self, messages: &[Message]) -> Result<Vec<Segment>> {
        let (mut segments, mut text) = (Vec::new(), String::new());
        let mut add = |longer: String, text: &mut String, learned: bool, what: &str| {
            let Some(rest) = longer.strip_prefix(text.as_str()) else { return Err(not_a_prefix(text, &longer, what)) };
            if !rest.is_empty() {
                segments.push(Segment { text: rest.to_owned(), learned });
            }
            *text = longer;
            Ok(())
        };
        for (i, _) in messages.iter().enumerate().filter(|(_, m)| m.role == "assistant") {
            let prompt = self.template.render(&messages[..i], true, &self.around)?;
            add(prompt, &mut text, false, &format!("of the first {i} messages"))?;
            let reply = self.template.render(&messages[..=i], false, &self.around)?;
            add(reply, &mut text, true, &format!("of the first {} messages", i + 1))?;
        }
        if messages.last().is_some_and(|m| m.role != "assistant") {
            add(self.template.render(messages, false, &self.around)?, &mut text, false, "of the whole conversation")?;
        }
        Ok(segments)
    }
}

fn not_a_prefix(shorter: &str, longer: &str, what: &str) -> DataError {
    let same = shorter.bytes().zip(longer.bytes()).take_while(|(a, b)| a == b).count();
    let tail = |text: &str| {
        let at = text.floor_char_boundary(same);
        text[at..].chars().take(40).collect::<String>()
    };
    DataError::Usage(format!(
        "the chat template's text {what} does not begin with its text of the messages before, so that what is learned cannot be \
         told apart: {:?} became {:?} after {same} bytes; pass a template that only adds to its text with --template FILE",
        tail(shorter),
        tail(longer),
    ))
}

impl Example {
    /// Its text in stretches; none for a conversation without messages.
    ///
    /// # Errors
    /// [`DataError::Bad`] with the line, where the template does not take the conversation or cuts it otherwise.
    pub(crate) fn segments(&self, chat: Option<&Chat>) -> Result<Vec<Segment>> {
        let messages = match &self.content {
            Content::Completion { prompt, completion } => {
                let segment = |text: &String, learned| Segment { text: text.clone(), learned };
                return Ok(vec![segment(prompt, false), segment(completion, true)]);
            }
            Content::Messages(messages) => messages,
        };
        if messages.len() > MOST_MESSAGES {
            return Err(self.bad(format!("at most {MOST_MESSAGES} messages"), messages.len().to_string()));
        }
        let Some(chat) = chat else {
            let found = "none; the tokenizer has no chat template: pass one with --template FILE";
            return Err(self.bad("a chat template for \"messages\"", found));
        };
        chat.segments(messages).map_err(|e| self.bad("a conversation that the chat template can write", e.to_string()))
    }

    fn bad(&self, expected: impl Into<String>, found: impl Into<String>) -> DataError {
        DataError::bad(&self.path, Place::Line(self.line), expected, found)
    }

    /// Everything that was said, for training a tokenizer.
    pub(crate) fn said(self) -> String {
        match self.content {
            Content::Completion { prompt, completion } => prompt + &completion,
            Content::Messages(messages) => messages.into_iter().map(|m| m.content).collect::<Vec<_>>().join("\n"),
        }
    }

    /// Bytes of its text.
    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Content::Completion { prompt, completion } => prompt.len() + completion.len(),
            Content::Messages(messages) => messages.iter().map(|m| m.role.len() + m.content.len()).sum(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
