//! Where text comes from: the built-in stories, or `.txt`, `.txt.gz`, `.jsonl`, `.jsonl.gz` files and folders of them.
//! Read as a stream of bounded pieces; a corpus is never held in memory.

use crate::error::{DataError, Place, Result};
use crate::example::{Example, Form, Line};
use crate::tokenizer::END_OF_TEXT;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stories of the built-in corpus by default: about 20 million tokens.
pub const DEFAULT_STORIES: u64 = 100_000;
/// A document longer than this is handed on in pieces, cut before a line break.
const PIECE: usize = 1 << 20;
/// Longest line of a `.jsonl` file: a line is held in memory, and a small compressed file can claim a long one.
const MAX_LINE: u64 = 1 << 26;

/// A source of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Stories `0..count` of the built-in generator.
    Stories {
        /// Seed of the generator.
        seed: u64,
        /// How many stories.
        count: u64,
    },
    /// Text files, in this order.
    Files(Vec<PathBuf>),
}

/// What a file gives: documents in pieces, or examples of which a part is learned.
pub(crate) enum Item {
    Text(Piece),
    Example(Example),
}

/// Takes items; says whether it wants more.
pub(crate) type Sink<'f> = dyn FnMut(Item) -> Result<bool> + 'f;

/// Part of a document: a document is one or more texts, the last with `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) end: bool,
}

impl Source {
    /// The built-in corpus of the default size.
    pub fn stories(seed: u64) -> Self {
        Source::Stories { seed, count: DEFAULT_STORIES }
    }

    /// A text file, or the text files of a folder and its subfolders, sorted by path; links to folders are not followed.
    ///
    /// # Errors
    /// [`DataError::Missing`] when nothing is there, [`DataError::Bad`] for another kind of file or a folder without text.
    pub fn open(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(|e| DataError::reading(path, e))?;
        if !meta.is_dir() {
            return match Kind::of(path) {
                Some(_) => Ok(Source::Files(vec![path.to_path_buf()])),
                None => Err(DataError::bad(path, Place::File, KINDS, "a file of another name")),
            };
        }
        let mut files = Vec::new();
        collect(path, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(DataError::bad(path, Place::File, format!("a folder with {KINDS} files"), "none"));
        }
        Ok(Source::Files(files))
    }

    /// True when [`Source::open`] knows this file name.
    pub fn is_text(path: &Path) -> bool {
        Kind::of(path).is_some()
    }
}

/// Whether the name of `path` is that of a JSONL file.
pub(crate) fn is_jsonl(path: &Path) -> bool {
    Kind::of(path).is_some_and(|kind| kind.jsonl)
}

/// Adds the text files below `folder`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|e| DataError::reading(folder, e))? {
        let entry = entry.map_err(|e| DataError::reading(folder, e))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(|e| DataError::reading(folder, e))?);
        if kind.is_dir() {
            collect(&path, files)?;
        } else if path.is_file() && Kind::of(&path).is_some() {
            files.push(path);
        }
    }
    Ok(())
}

const KINDS: &str = ".txt, .txt.gz, .jsonl or .jsonl.gz";

#[derive(Clone, Copy)]
struct Kind {
    jsonl: bool,
    gz: bool,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (stem, gz) = name.strip_suffix(".gz").map_or((name.as_str(), false), |stem| (stem, true));
        let jsonl = stem.ends_with(".jsonl");
        (jsonl || stem.ends_with(".txt")).then_some(Self { jsonl, gz })
    }
}

/// Calls `f` with every item of a text file until it returns false. `form` is that of the files before, if there were any.
pub(crate) fn read_file(path: &Path, form: &mut Option<Form>, f: &mut Sink<'_>) -> Result<()> {
    let Some(kind) = Kind::of(path) else {
        return Err(DataError::bad(path, Place::File, KINDS, "a file of another name"));
    };
    let file = BufReader::with_capacity(1 << 18, File::open(path).map_err(|e| DataError::reading(path, e))?);
    let input: Box<dyn BufRead> =
        if kind.gz { Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file))) } else { Box::new(file) };
    if kind.jsonl {
        return read_jsonl(path, input, form, f);
    }
    Form::plain(form, path)?;
    read_txt(path, input, f)
}

/// A decoder's complaint is a defect of the file; anything else is the system's.
fn read_error(path: &Path, offset: u64, e: std::io::Error) -> DataError {
    use std::io::ErrorKind as K;
    match e.kind() {
        K::InvalidInput | K::InvalidData | K::UnexpectedEof => {
            DataError::bad(path, Place::Byte(offset), "a sound gzip file", e.to_string())
        }
        _ => DataError::reading(path, e),
    }
}

fn utf8<'a>(path: &Path, offset: u64, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        let found = format!("byte 0x{:02x}; convert the file to UTF-8", bytes[at]);
        DataError::bad(path, Place::Byte(offset + at as u64), "UTF-8 text", found)
    })
}

fn read_jsonl(path: &Path, mut input: Box<dyn BufRead>, form: &mut Option<Form>, f: &mut Sink<'_>) -> Result<()> {
    let shared: Arc<Path> = path.into();
    let (mut line, mut number, mut offset) = (Vec::new(), 0u64, 0u64);
    loop {
        line.clear();
        let n = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line).map_err(|e| read_error(path, offset, e))?;
        if n == 0 {
            return Ok(());
        }
        number += 1;
        if n as u64 == MAX_LINE {
            let expected = format!("a line of at most {MAX_LINE} bytes");
            return Err(DataError::bad(path, Place::Line(number), expected, "a longer one"));
        }
        let text = utf8(path, offset, &line)?;
        let text = if number == 1 { text.trim_start_matches('\u{FEFF}') } else { text };
        offset += n as u64;
        if text.trim().is_empty() {
            continue;
        }
        let more = match Form::parse(form, path, number, text)? {
            Line::Text(text) => document(text.trim(), f)?,
            Line::Learned(content) => f(Item::Example(Example { path: shared.clone(), line: number, content }))?,
        };
        if !more {
            return Ok(());
        }
    }
}

/// Hands on one whole document, in pieces when it is long; an empty one is none.
fn document(mut text: &str, f: &mut Sink<'_>) -> Result<bool> {
    if text.is_empty() {
        return Ok(true);
    }
    while text.len() > PIECE {
        let cut = cut_before_line(text);
        if !f(Item::Text(Piece { text: text[..cut].to_string(), end: false }))? {
            return Ok(false);
        }
        text = &text[cut..];
    }
    f(Item::Text(Piece { text: text.to_string(), end: true }))
}

/// Where to cut a text of more than [`PIECE`] bytes: before the last run of line breaks that begins within the
/// second half of a piece, else before a space, else at a character. GPT-2 style splitting sees the same words on
/// both sides of the first two.
fn cut_before_line(text: &str) -> usize {
    let end = text.floor_char_boundary(PIECE);
    let bytes = &text.as_bytes()[..end];
    let is_cut = |i: &usize| bytes[*i] == b'\n' && !bytes[*i - 1].is_ascii_whitespace();
    let is_space = |i: &usize| bytes[*i] == b' ' && !bytes[*i - 1].is_ascii_whitespace();
    let half = PIECE / 2..end;
    half.clone().rev().find(is_cut).or_else(|| half.rev().find(is_space)).unwrap_or(end)
}

fn read_txt(path: &Path, mut input: Box<dyn BufRead>, f: &mut Sink<'_>) -> Result<()> {
    let mut reader = TextReader { doc: String::new(), continued: false, f };
    let (mut carry, mut offset, mut first) = (Vec::new(), 0u64, true);
    loop {
        // A marker never spans two blocks: blocks end at a line break, or hold one endless line in which it is
        // looked for again after the next read.
        let n = read_block(&mut input, &mut carry).map_err(|e| read_error(path, offset + carry.len() as u64, e))?;
        let cut = if n == 0 { carry.len() } else { block_end(&carry) };
        let text = utf8(path, offset, &carry[..cut])?;
        let text = if first { text.trim_start_matches('\u{FEFF}') } else { text };
        first = first && cut == 0;
        if !reader.push(text)? {
            return Ok(());
        }
        offset += cut as u64;
        carry.drain(..cut);
        if n == 0 {
            return reader.end_document().map(|_| ());
        }
    }
}

fn read_block(input: &mut Box<dyn BufRead>, carry: &mut Vec<u8>) -> std::io::Result<usize> {
    let block = input.fill_buf()?;
    let n = block.len();
    carry.extend_from_slice(block);
    input.consume(n);
    Ok(n)
}

/// After the last line break; in an endless line after the last space; nothing while the block is small.
fn block_end(bytes: &[u8]) -> usize {
    if let Some(at) = bytes.iter().rposition(|&b| b == b'\n') {
        return at + 1;
    }
    if bytes.len() < PIECE {
        return 0;
    }
    let keep = bytes.len() - END_OF_TEXT.len() - 4;
    match bytes[..keep].iter().rposition(|&b| b == b' ') {
        Some(at) => at,
        // Not even a space in a megabyte: cut between characters (a continuation byte is 0b10xx_xxxx).
        None => (0..keep).rev().find(|&i| bytes[i] & 0xC0 != 0x80).unwrap_or(keep),
    }
}

/// Collects a document from blocks of text.
struct TextReader<'f, 's> {
    doc: String,
    continued: bool,
    f: &'f mut Sink<'s>,
}

impl TextReader<'_, '_> {
    fn push(&mut self, mut text: &str) -> Result<bool> {
        while let Some(at) = text.find(END_OF_TEXT) {
            if !self.append(&text[..at])? || !self.end_document()? {
                return Ok(false);
            }
            text = &text[at + END_OF_TEXT.len()..];
        }
        self.append(text)
    }

    fn append(&mut self, text: &str) -> Result<bool> {
        let fresh = self.doc.is_empty() && !self.continued;
        self.doc.push_str(if fresh { text.trim_start() } else { text });
        while self.doc.len() > PIECE {
            let rest = self.doc.split_off(cut_before_line(&self.doc));
            let text = std::mem::replace(&mut self.doc, rest);
            self.continued = true;
            if !(self.f)(Item::Text(Piece { text, end: false }))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end_document(&mut self) -> Result<bool> {
        let text = std::mem::take(&mut self.doc);
        let continued = std::mem::take(&mut self.continued);
        let trimmed = text.trim_end();
        if trimmed.is_empty() && !continued {
            return Ok(true);
        }
        (self.f)(Item::Text(Piece { text: trimmed.to_string(), end: true }))
    }
}
