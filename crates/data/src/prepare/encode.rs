//! The stream from documents to token bytes: read a batch, encode it on all threads, write it, in order.

use crate::error::{DataError, Result};
use crate::source::{Piece, Source, read_file};
use crate::stories::Stories;
use crate::tokenizer::{Encoder, Tokenizer, hex, join};
use crate::tokens::Width;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

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
}

enum Job {
    Text(Piece),
    Stories(Stories, Range<u64>),
}

#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    documents: u64,
    text_bytes: u64,
}

struct Writer<'a> {
    encoders: Vec<Encoder<'a>>,
    eot: u32,
    width: Width,
    path: &'a Path,
    file: File,
    hash: Sha256,
    written: Written,
    progress: &'a mut dyn FnMut(u64, u64),
}

/// Encodes `source` into `path`, every document followed by the end of text; synced to disk.
pub(super) fn write_tokens(
    source: &Source,
    tokenizer: &Tokenizer,
    width: Width,
    path: &Path,
    threads: usize,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Written> {
    let mut writer = Writer {
        encoders: (0..threads.max(1)).map(|_| Encoder::new(tokenizer)).collect(),
        eot: tokenizer.require_eos()?,
        width,
        path,
        file: File::create(path).map_err(|e| DataError::writing(path, e))?,
        hash: Sha256::new(),
        written: Written::default(),
        progress,
    };
    match source {
        Source::Stories { seed, count } => writer.stories(Stories::new(*seed), *count)?,
        Source::Files(files) => writer.files(files)?,
    }
    writer.file.sync_all().map_err(|e| DataError::writing(path, e))?;
    Ok(Written { sha256: hex(&writer.hash.finalize()), ..writer.written })
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

    fn files(&mut self, files: &[std::path::PathBuf]) -> Result<()> {
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        for file in files {
            read_file(file, &mut |piece| {
                bytes += piece.text.len();
                jobs.push(Job::Text(piece));
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
        let per_thread = jobs.len().div_ceil(self.encoders.len()).max(1);
        let (eot, width) = (self.eot, self.width);
        let parts: Vec<Result<Encoded>> = std::thread::scope(|scope| {
            let pairs = jobs.chunks(per_thread).zip(&mut self.encoders);
            let spawn = |(part, encoder)| scope.spawn(move || encode(part, encoder, eot, width));
            let handles: Vec<_> = pairs.map(spawn).collect();
            handles.into_iter().map(join).collect()
        });
        for part in parts {
            let part = part?;
            self.hash.update(&part.bytes);
            self.file.write_all(&part.bytes).map_err(|e| DataError::writing(self.path, e))?;
            self.written.tokens += (part.bytes.len() / width.bytes()) as u64;
            self.written.documents += part.documents;
            self.written.text_bytes += part.text_bytes;
        }
        (self.progress)(self.written.documents, self.written.tokens);
        Ok(())
    }
}

fn encode(jobs: &[Job], encoder: &mut Encoder<'_>, eot: u32, width: Width) -> Result<Encoded> {
    let (mut out, mut ids, mut text) = (Encoded::default(), Vec::new(), String::new());
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
        }
        match width {
            Width::U16 => out.bytes.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            Width::U32 => out.bytes.extend(ids.iter().flat_map(|&id| id.to_le_bytes())),
        }
        ids.clear();
    }
    Ok(out)
}
