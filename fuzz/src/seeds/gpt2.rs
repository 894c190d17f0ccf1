//! A small byte-level tokenizer, as `tokenizer.json`.

use data::Tokenizer;

/// The file.
pub fn tokenizer_json() -> String {
    let documents = ["Once upon a time there was a cat. The cat sat.", "it's the end, the very end of the time"];
    let tokenizer = Tokenizer::train(&documents, 280).expect("two documents make a tokenizer");
    String::from_utf8_lossy(tokenizer.json()).into_owned()
}
