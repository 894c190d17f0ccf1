//! What names a program in the cache of the device: SHA-256 of the text, of the options and of the weights, in hexadecimal,
//! joined by `_` (ane-facts 2.2, call 3).

use sha2::{Digest, Sha256};

/// The identifier of a program; its options are always empty.
pub fn identifier(text: &str, blobs: &[(String, Vec<u8>)]) -> String {
    let mut sorted: Vec<&(String, Vec<u8>)> = blobs.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut weights = Sha256::new();
    for (path, bytes) in sorted {
        // lengths too: no two lists of files run together to the same bytes
        weights.update((path.len() as u64).to_le_bytes());
        weights.update(path);
        weights.update((bytes.len() as u64).to_le_bytes());
        weights.update(bytes);
    }
    let digests = [Sha256::digest(text), Sha256::digest([]), weights.finalize()];
    digests.map(|d| d.iter().map(|b| format!("{b:02x}")).collect::<String>()).join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_three_digests() {
        let id = identifier("abc", &[]);
        let parts: Vec<&str> = id.split('_').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); // FIPS 180-2, B.1
        assert_eq!(parts[1], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"); // of nothing
        assert!(parts.iter().all(|p| p.len() == 64));
    }

    #[test]
    fn it_follows_text_names_and_bytes_but_not_the_order_of_files() {
        let file = |name: &str, bytes: &[u8]| (name.to_string(), bytes.to_vec());
        let (a, b) = (file("a", &[1, 2]), file("b", &[3]));
        let id = identifier("t", &[a.clone(), b.clone()]);
        assert_eq!(id, identifier("t", &[b.clone(), a.clone()]));
        assert_ne!(id, identifier("u", &[a.clone(), b.clone()]));
        assert_ne!(id, identifier("t", &[file("a", &[1]), file("b", &[2, 3])]));
        assert_ne!(id, identifier("t", &[file("c", &[1, 2]), b]));
    }
}
