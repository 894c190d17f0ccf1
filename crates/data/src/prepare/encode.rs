//! The stream from documents to token bytes: read a batch, encode it on all threads, write it, in order.

use super::TemplateChoice;
use super::learned::{Learned, Tokens};
use crate::chat::ChatTemplate;
use crate::error::{DataError, Result};
use crate::example::{Chat, Content, Example};
use crate::source::{Item, Piece, Source, read_file};
use crate::stories::Stories;
use crate::tokenizer::{Encoder, Tokenizer, hex, join};
use crate::tokens::Width;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Text of one batch; bounds the memory of preparing.
const BATCH_BYTES: usize = 8 << 20;
/// Stories of one job and of one batch.
const STORIES_JOB: u64 = 64;
const STORIES_BATCH: u64 = 8192;

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) tokens: u64,
    pub(super) documents: u64,
    pub(super) text_bytes: u64,
    pub(super) sha256: String,
    /// Hash of the mask and the tokens that carry loss, where a part of the text is learned.
    pub(super) mask: Option<(String, u64)>,
}

enum Job {
    Text(Piece),
    Stories(Stories, Range<u64>),
    Example(Example),
}

#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    /// A byte for each token, or nothing where all is learned.
    mask: Vec<u8>,
    documents: u64,
    text_bytes: u64,
}

/// A file that is hashed as it is written.
struct Hashed {
    path: PathBuf,
    file: File,
    hash: Sha256,
}

impl Hashed {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|e| DataError::writing(path, e))?;
        Ok(Self { path: path.to_path_buf(), file, hash: Sha256::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|e| DataError::writing(&self.path, e))
    }

    /// Synced to disk; its hash.
    fn finish(self) -> Result<String> {
        self.file.sync_all().map_err(|e| DataError::writing(&self.path, e))?;
        Ok(hex(&self.hash.finalize()))
    }
}

/// What every thread needs besides its encoder.
struct Settings<'a> {
    tokenizer: &'a Tokenizer,
    template: Option<&'a TemplateChoice>,
    /// Opened with the first conversation.
    chat: Option<Chat>,
    eot: u32,
    width: Width,
}

impl Settings<'_> {
    /// The template that was given, else the tokenizer's.
    fn open_chat(&self) -> Result<Option<Chat>> {
        let special = self.tokenizer.special_texts();
        let open = |source: &str, path: &Path| Ok(Some(Chat::new(ChatTemplate::new(source, path)?, special)));
        match (self.template, self.tokenizer.chat_template()) {
            (Some(given), _) => open(&given.source, &given.path),
            (None, Some(own)) => open(&own, &self.tokenizer.template_path()),
            (None, None) => Ok(None),
        }
    }
}

struct Writer<'a> {
    encoders: Vec<Encoder<'a>>,
    settings: Settings<'a>,
    tokens: Hashed,
    mask_path: PathBuf,
    mask: Option<Hashed>,
    loss_tokens: u64,
    written: Written,
    progress: &'a mut dyn FnMut(u64, u64),
}

/// Encodes `source` into `tokens.bin` of `folder`, every document followed by the end of text, and into `mask.bin` what of
/// it is learned where that is not all; synced to disk.
pub(super) fn write_tokens(
    source: &Source,
    tokenizer: &Tokenizer,
    template: Option<&TemplateChoice>,
    folder: &Path,
    threads: usize,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Written> {
    let width = Width::for_vocab(tokenizer.vocab_size());
    let mut writer = Writer {
        encoders: (0..threads.max(1)).map(|_| Encoder::new(tokenizer)).collect(),
        settings: Settings { tokenizer, template, chat: None, eot: tokenizer.require_eos()?, width },
        tokens: Hashed::create(&folder.join("tokens.bin"))?,
        mask_path: folder.join("mask.bin"),
        mask: None,
        loss_tokens: 0,
        written: Written::default(),
        progress,
    };
    match source {
        Source::Stories { seed, count } => writer.stories(Stories::new(*seed), *count)?,
        Source::Files(files) => writer.files(files)?,
    }
    let mask = writer.mask.map(Hashed::finish).transpose()?.map(|sha256| (sha256, writer.loss_tokens));
    Ok(Written { sha256: writer.tokens.finish()?, mask, ..writer.written })
}

impl Writer<'_> {
    fn stories(&mut self, stories: Stories, count: u64) -> Result<()> {
        let mut at = 0;
        while at < count {
            let end = count.min(at + STORIES_BATCH);
            let job = |start: u64| Job::Stories(stories, start..end.min(start + STORIES_JOB));
            let jobs: Vec<Job> = (at..end).step_by(STORIES_JOB as usize).map(job).collect();
            self.batch(&jobs)?;
            at = end;
        }
        Ok(())
    }

    fn files(&mut self, files: &[PathBuf]) -> Result<()> {
        let (mut jobs, mut bytes, mut form) = (Vec::new(), 0, None);
        for file in files {
            read_file(file, &mut form, &mut |item| {
                let (size, job) = match item {
                    Item::Text(piece) => (piece.text.len(), Job::Text(piece)),
                    Item::Example(example) => (example.len(), Job::Example(example)),
                };
                bytes += size;
                jobs.push(job);
                if bytes >= BATCH_BYTES {
                    self.batch(&jobs)?;
                    jobs.clear();
                    bytes = 0;
                }
                Ok(true)
            })?;
        }
        self.batch(&jobs)
    }

    fn batch(&mut self, jobs: &[Job]) -> Result<()> {
        let conversation = |job: &Job| matches!(job, Job::Example(e) if matches!(e.content, Content::Messages(_)));
        if self.settings.chat.is_none() && jobs.iter().any(conversation) {
            self.settings.chat = self.settings.open_chat()?;
        }
        let per_thread = jobs.len().div_ceil(self.encoders.len()).max(1);
        let settings = &self.settings;
        let parts: Vec<Result<Encoded>> = std::thread::scope(|scope| {
            let pairs = jobs.chunks(per_thread).zip(&mut self.encoders);
            let spawn = |(part, encoder)| scope.spawn(move || encode(part, encoder, settings));
            let handles: Vec<_> = pairs.map(spawn).collect();
            handles.into_iter().map(join).collect()
        });
        for part in parts {
            self.write(&part?)?;
        }
        (self.progress)(self.written.documents, self.written.tokens);
        Ok(())
    }

    fn write(&mut self, part: &Encoded) -> Result<()> {
        self.tokens.write(&part.bytes)?;
        if !part.mask.is_empty() {
            let mask = match self.mask.take() {
                Some(mask) => mask,
                None => Hashed::create(&self.mask_path)?,
            };
            self.mask.insert(mask).write(&part.mask)?;
            self.loss_tokens += part.mask.iter().map(|b| u64::from(b & crate::mask::LOSS)).sum::<u64>();
        }
        self.written.tokens += (part.bytes.len() / self.settings.width.bytes()) as u64;
        self.written.documents += part.documents;
        self.written.text_bytes += part.text_bytes;
        Ok(())
    }
}

fn encode(jobs: &[Job], encoder: &mut Encoder<'_>, settings: &Settings<'_>) -> Result<Encoded> {
    let (mut out, mut ids, mut text) = (Encoded::default(), Vec::new(), String::new());
    let eot = settings.eot;
    for job in jobs {
        match job {
            Job::Text(piece) => {
                encoder.encode_into(&piece.text, &mut ids)?;
                out.text_bytes += piece.text.len() as u64;
                if piece.end {
                    ids.push(eot);
                    out.documents += 1;
                }
            }
            Job::Stories(stories, range) => {
                for i in range.clone() {
                    text.clear();
                    stories.write(i, &mut text);
                    encoder.encode_into(&text, &mut ids)?;
                    ids.push(eot);
                    out.text_bytes += text.len() as u64;
                    out.documents += 1;
                }
            }
            Job::Example(example) => {
                let segments = example.segments(settings.chat.as_ref())?;
                let into = Tokens { ids: &mut ids, mask: &mut out.mask };
                Learned { tokenizer: settings.tokenizer, eot }.encode(&segments, encoder, into)?;
                out.text_bytes += segments.iter().map(|s| s.text.len() as u64).sum::<u64>();
                out.documents += u64::from(!segments.is_empty());
            }
        }
        match settings.width {
            Width::U16 => out.bytes.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            Width::U32 => out.bytes.extend(ids.iter().flat_map(|&id| id.to_le_bytes())),
        }
        ids.clear();
    }
    Ok(out)
}
