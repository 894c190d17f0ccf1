//! Stop texts: they end a text, are not part of it, and may come in several pieces.

/// Passes text on until a stop text is complete; what may be the beginning of one is held back.
pub struct StopFilter<'a> {
    stops: &'a [String],
    held: String,
}

impl<'a> StopFilter<'a> {
    /// A filter at the beginning of a text. Empty stop texts are none.
    pub fn new(stops: &'a [String]) -> StopFilter<'a> {
        StopFilter { stops, held: String::new() }
    }

    /// Takes the next piece: the text that is now certain, and whether a stop text ended it.
    pub fn push(&mut self, piece: &str) -> (String, bool) {
        self.held += piece;
        let stops = || self.stops.iter().filter(|s| !s.is_empty());
        if let Some(at) = stops().filter_map(|s| self.held.find(s.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let begins = |at: &usize| stops().any(|s| s.starts_with(&self.held[*at..]));
        let certain = self.held.char_indices().map(|(at, _)| at).find(begins).unwrap_or(self.held.len());
        let rest = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// The text that was held back, once no more comes.
    pub fn finish(self) -> String {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of pieces, and whether it was stopped.
    fn through(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|s| s.to_string()).collect();
        let mut filter = StopFilter::new(&stops);
        let mut out = Vec::new();
        for piece in pieces {
            let (text, stopped) = filter.push(piece);
            out.push(text);
            if stopped {
                return (out, true);
            }
        }
        out.push(filter.finish());
        (out, false)
    }

    #[test]
    fn a_stop_text_over_three_pieces_is_never_seen() {
        let (out, stopped) = through(&["</end>"], &["one <", "/en", "d> two"]);
        assert_eq!((out.concat().as_str(), stopped), ("one ", true));
    }

    #[test]
    fn what_only_looked_like_one_comes_out() {
        let (out, stopped) = through(&["</end>", "zz"], &["a</", "b", "</en", "z", "é"]);
        assert_eq!((out.concat().as_str(), stopped), ("a</b</enzé", false));
        assert_eq!(out[0], "a", "the beginning of a stop text is held back");
    }

    #[test]
    fn the_first_of_several_ends_the_text() {
        let (out, stopped) = through(&["later", "now", ""], &["do it now, not later"]);
        assert_eq!((out.concat().as_str(), stopped), ("do it ", true));
    }

    #[test]
    fn without_stop_texts_nothing_is_held() {
        assert_eq!(through(&[], &["a", "b"]), (vec!["a".into(), "b".into(), String::new()], false));
    }
}
