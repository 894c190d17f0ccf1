//! Vocabulary compaction: training runs over the ids that occur, exports carry the full vocabulary.
//!
//! The map keeps the order of ids, so equal data gives equal maps, and it is stored with a run so that a resumed run
//! sees the same compact ids whatever happened to the file.

use crate::error::{DataError, Place, Result};
use crate::tokens::Scan;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The ids that occur, in increasing order: compact id `c` stands for full id `full_of[c]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VocabMap {
    /// Size of the full vocabulary.
    pub full_vocab: usize,
    /// Full id of each compact id, strictly increasing.
    pub full_of: Vec<u32>,
    /// How often each compact id occurs in the token file.
    pub counts: Vec<u64>,
}

impl VocabMap {
    /// The map over the ids that occur in `scan`, and `eot` even when it does not occur.
    pub fn from_scan(scan: &Scan, full_vocab: usize, eot: Option<u32>) -> Self {
        let occurs = |&id: &u32| scan.counts.get(id as usize).is_some_and(|&n| n > 0) || eot == Some(id);
        let full_of: Vec<u32> = (0..full_vocab as u32).filter(occurs).collect();
        let counts = full_of.iter().map(|&id| scan.counts.get(id as usize).copied().unwrap_or(0)).collect();
        Self { full_vocab, full_of, counts }
    }

    /// The map that changes nothing, over the whole vocabulary.
    pub fn identity(scan: &Scan, full_vocab: usize) -> Self {
        let full_of: Vec<u32> = (0..full_vocab as u32).collect();
        let counts = full_of.iter().map(|&id| scan.counts.get(id as usize).copied().unwrap_or(0)).collect();
        Self { full_vocab, full_of, counts }
    }

    /// Number of compact ids.
    pub fn len(&self) -> usize {
        self.full_of.len()
    }

    /// True for a map of nothing.
    pub fn is_empty(&self) -> bool {
        self.full_of.is_empty()
    }

    /// True when compact and full ids are the same.
    pub fn is_identity(&self) -> bool {
        self.full_of.len() == self.full_vocab
    }

    /// Compact id of a full id; `None` when the id is not in the map.
    pub fn to_compact(&self, full: u32) -> Option<u32> {
        if self.is_identity() {
            return ((full as usize) < self.full_vocab).then_some(full);
        }
        self.full_of.binary_search(&full).ok().map(|c| c as u32)
    }

    /// Full id of a compact id; `None` beyond the map.
    pub fn to_full(&self, compact: u32) -> Option<u32> {
        self.full_of.get(compact as usize).copied()
    }

    /// Dense table `full id -> compact id`, `u32::MAX` for ids outside the map.
    pub fn lookup(&self) -> Vec<u32> {
        let mut table = vec![u32::MAX; self.full_vocab];
        for (compact, &full) in self.full_of.iter().enumerate() {
            table[full as usize] = compact as u32;
        }
        table
    }

    /// The map as JSON text.
    pub fn to_json(&self) -> String {
        // A struct of integers and vectors has no value that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads [`VocabMap::to_json`]; `path` is named in errors.
    ///
    /// # Errors
    /// [`DataError::Bad`] when the text is not JSON of a map, or its ids are not increasing, or beyond the vocabulary.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        let map: Self = serde_json::from_str(text).map_err(|e| {
            DataError::bad(path, Place::Line(e.line() as u64), "a vocabulary map {full_vocab, full_of, counts}", e.to_string())
        })?;
        let increasing = map.full_of.windows(2).all(|w| w[0] < w[1]);
        let inside = map.full_of.last().is_none_or(|&last| (last as usize) < map.full_vocab);
        if !increasing || !inside || map.counts.len() != map.full_of.len() || map.full_vocab > crate::tokens::MAX_VOCAB {
            return Err(DataError::bad(
                path,
                Place::File,
                "increasing ids inside the vocabulary, one count each",
                format!("{} ids, {} counts, vocabulary of {}", map.full_of.len(), map.counts.len(), map.full_vocab),
            ));
        }
        Ok(map)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scan() -> Scan {
        Scan { tokens: 6, max_id: Some(5), counts: vec![0, 3, 0, 0, 2, 1] }
    }

    #[test]
    fn keeps_order_and_eot_and_reverses() {
        let map = VocabMap::from_scan(&scan(), 8, Some(0));
        assert_eq!(map.full_of, [0, 1, 4, 5]);
        assert_eq!(map.counts, [0, 3, 2, 1]);
        for c in 0..map.len() as u32 {
            assert_eq!(map.to_compact(map.to_full(c).unwrap()), Some(c));
        }
        assert_eq!(map.to_compact(2), None);
        assert_eq!(map.to_compact(99), None);
        assert_eq!(map.lookup(), [0, 1, u32::MAX, u32::MAX, 2, 3, u32::MAX, u32::MAX]);
        assert!(!map.is_identity());
        assert!(VocabMap::identity(&scan(), 6).is_identity());
    }

    #[test]
    fn json_round_trip_and_hostile_maps() {
        let map = VocabMap::from_scan(&scan(), 8, None);
        let path = Path::new("map.json");
        assert_eq!(VocabMap::from_json(&map.to_json(), path).unwrap(), map);
        for bad in [
            "{}",
            r#"{"full_vocab":4,"full_of":[2,1],"counts":[1,1]}"#,
            r#"{"full_vocab":2,"full_of":[1,2],"counts":[1,1]}"#,
            r#"{"full_vocab":4,"full_of":[1,2],"counts":[1]}"#,
            r#"{"full_vocab":99999999999,"full_of":[1],"counts":[1]}"#,
        ] {
            assert_eq!(VocabMap::from_json(bad, path).unwrap_err().exit_code(), 65, "{bad}");
        }
    }
}
