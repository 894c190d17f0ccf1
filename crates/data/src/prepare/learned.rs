//! Stretches of text to ids and their mask.
//!
//! The ids of a document are those of its whole text where the ids of each beginning of it are a beginning of them, else the
//! text is cut there, as it is when a model goes on from a prompt: so the ids of a prompt are always those that it has by
//! itself.

use crate::error::Result;
use crate::example::Segment;
use crate::mask::{END, LOSS};
use crate::tokenizer::{Encoder, Tokenizer};

/// How documents end and tokens read.
pub(super) struct Learned<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) eot: u32,
}

/// Where ids and their flags go.
pub(super) struct Tokens<'a> {
    /// The document's own: empty before it.
    pub(super) ids: &'a mut Vec<u32>,
    /// Those of documents before it, too.
    pub(super) mask: &'a mut Vec<u8>,
}

impl Learned<'_> {
    /// Encodes one document, its end of text included; nothing for no text at all. The end is learned when what is before it is.
    pub(super) fn encode(&self, segments: &[Segment], encoder: &mut Encoder<'_>, into: Tokens<'_>) -> Result<()> {
        let Some(last) = segments.last() else { return Ok(()) };
        let Tokens { ids, mask } = into;
        let (mut text, mut known) = (String::new(), Vec::new());
        for segment in segments {
            text.push_str(&segment.text);
            let mut all = Vec::new();
            encoder.encode_into(&text, &mut all)?;
            if !all.starts_with(&known) {
                text.clone_from(&segment.text);
                known.clear();
                all.clear();
                encoder.encode_into(&text, &mut all)?;
            }
            let new = &all[known.len()..];
            ids.extend_from_slice(new);
            let learned = if segment.learned { self.without_tail(new) } else { 0 };
            mask.extend((0..new.len()).map(|i| if i < learned { LOSS } else { 0 }));
            known = all;
        }
        self.end(last.learned, ids, mask);
        Ok(())
    }

    /// The ids of a reply without the blanks that a template writes after the token that ends it: nobody generates those.
    fn without_tail(&self, ids: &[u32]) -> usize {
        match ids.iter().rposition(|&id| self.tokenizer.is_special(id)) {
            Some(at) if self.is_blank(&ids[at + 1..]) => at + 1,
            _ => ids.len(),
        }
    }

    fn is_blank(&self, ids: &[u32]) -> bool {
        ids.iter().all(|&id| !self.tokenizer.is_special(id)) && self.tokenizer.decode(ids).trim().is_empty()
    }

    /// Ends a document with one end of text: its own, where there is nothing but blanks after it, else another.
    fn end(&self, learned: bool, ids: &mut Vec<u32>, mask: &mut Vec<u8>) {
        let own = ids.iter().rposition(|&id| id == self.eot).filter(|&at| self.is_blank(&ids[at + 1..]));
        let extra = own.map_or(0, |at| ids.len() - at);
        ids.truncate(ids.len() - extra);
        mask.truncate(mask.len() - extra);
        ids.push(self.eot);
        mask.push(if learned { LOSS | END } else { END });
    }
}
