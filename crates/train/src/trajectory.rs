//! A run from losses alone as what was decided in it: for each step the learning rate, the factor of the clip and the
//! coefficients. Directions are functions of the run's seed and the step, so these few numbers and the weights before the
//! first step are the weights after the last. (Those of AGZO are functions of a batch too: it is among the numbers, as the place
//! in the data where it begins, in two.)
//!
//! File: `AOTRAJ01`, numbers a step as u32, then that many little-endian f32 for each step, from step 1.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::TrainError;

const MAGIC: &[u8; 8] = b"AOTRAJ01";
const HEADER: u64 = 12;
/// More directions than a step may have.
const WIDEST: usize = 1 << 16;

/// Writes the numbers of `step` into the file at `path`, which is made with the first; later ones are dropped.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, step: u64, numbers: &[f32]) -> Result<(), TrainError> {
    let put = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(step == 1).open(path)?;
        if step == 1 {
            file.write_all(MAGIC)?;
            file.write_all(&(numbers.len() as u32).to_le_bytes())?;
        }
        let at = HEADER + (step - 1) * 4 * numbers.len() as u64;
        file.set_len(at)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
    };
    put().map_err(|e| TrainError::io(path, "write", e))
}

/// The numbers of steps `1 ..= steps` of the file at `path`.
///
/// # Errors
/// When it cannot be read, is no such file, or holds fewer steps.
pub fn read(path: &Path, steps: u64) -> Result<Vec<Vec<f32>>, TrainError> {
    let bad = |expected| TrainError::Parse { what: "trajectory", found: path.display().to_string(), expected };
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut f| f.read_to_end(&mut bytes)).map_err(|e| TrainError::io(path, "read", e))?;
    let Some((header, rest)) = bytes.split_first_chunk::<{ HEADER as usize }>().filter(|(h, _)| h.starts_with(MAGIC)) else {
        return Err(bad("a file that begins with AOTRAJ01"));
    };
    let width = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
    if !(3..WIDEST).contains(&width) {
        return Err(bad("a learning rate, a factor and coefficients for each step"));
    }
    let records = rest.chunks_exact(4 * width).take(usize::try_from(steps).unwrap_or(usize::MAX));
    let numbers = |r: &[u8]| r.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let found: Vec<Vec<f32>> = records.map(numbers).collect();
    if found.len() as u64 == steps { Ok(found) } else { Err(bad("as many steps as the last checkpoint has")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn steps_come_back_and_later_ones_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.bin");
        for step in 1..=5u64 {
            write(&path, step, &[step as f32, 1.0, 0.5]).unwrap();
        }
        write(&path, 4, &[40.0, 1.0, 0.25]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), HEADER + 4 * 12);
        let found = read(&path, 4).unwrap();
        assert_eq!((found[0][0], found[3][0], found.len()), (1.0, 40.0, 4));
        assert_eq!(read(&path, 2).unwrap().len(), 2);
        assert!(read(&path, 5).is_err());
        for bad in [&b"AOTRAJ01"[..], b"AOTRAJ02\x03\0\0\0", b"AOTRAJ01\0\0\0\0", b"AOTRAJ01\xff\xff\xff\xff", b""] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path, 0).is_err(), "{bad:?}");
        }
    }
}
