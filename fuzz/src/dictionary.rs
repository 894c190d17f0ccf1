//! Words that a mutation alone would hardly find: keys and markers of each format, one quoted word a line.

const CONFIG: &[&str] = &[
    "\"model_type\":", "\"llama\"", "\"mistral\"", "\"qwen2\"", "\"qwen3\"", "\"smollm3\"", "\"hidden_size\":",
    "\"intermediate_size\":", "\"num_hidden_layers\":", "\"num_attention_heads\":", "\"num_key_value_heads\":",
    "\"head_dim\":", "\"vocab_size\":", "\"max_position_embeddings\":", "\"rms_norm_eps\":", "\"rope_theta\":",
    "\"rope_scaling\":", "\"rope_parameters\":", "\"rope_type\":", "\"llama3\"", "\"linear\"", "\"yarn\"", "\"default\"",
    "\"factor\":", "\"low_freq_factor\":", "\"high_freq_factor\":", "\"original_max_position_embeddings\":",
    "\"attention_factor\":", "\"beta_fast\":", "\"beta_slow\":", "\"mscale\":", "\"mscale_all_dim\":", "\"truncate\":",
    "\"sliding_window\":", "\"use_sliding_window\":", "\"max_window_layers\":", "\"layer_types\":", "\"full_attention\"",
    "\"sliding_attention\"", "\"no_rope_layers\":", "\"no_rope_layer_interval\":", "\"attention_bias\":", "\"mlp_bias\":",
    "\"tie_word_embeddings\":", "\"eos_token_id\":", "\"bos_token_id\":", "\"pad_token_id\":", "\"hidden_act\":", "\"silu\"",
];

const SAFETENSORS: &[&str] = &[
    "\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"__metadata__\":", "\"F32\"", "\"F16\"", "\"BF16\"", "\"I64\"", "\"F4\"",
    "\"BOOL\"", "\"model.embed_tokens.weight\"", "\"lm_head.weight\"", "\"model.norm.weight\"",
];

const TOKENIZER: &[&str] = &[
    "\"added_tokens\":", "\"id\":", "\"content\":", "\"special\":", "\"single_word\":", "\"lstrip\":", "\"rstrip\":",
    "\"normalized\":", "\"normalizer\":", "\"pre_tokenizer\":", "\"post_processor\":", "\"decoder\":", "\"model\":", "\"type\":",
    "\"BPE\"", "\"Unigram\"", "\"WordPiece\"", "\"WordLevel\"", "\"vocab\":", "\"merges\":", "\"unk_token\":", "\"byte_fallback\":",
    "\"ByteLevel\"", "\"Sequence\"", "\"Split\"", "\"Regex\"", "\"Metaspace\"", "\"Digits\"", "\"Prepend\"", "\"Replace\"",
    "\"ByteFallback\"", "\"Fuse\"", "\"Strip\"", "\"TemplateProcessing\"", "\"NFC\"", "\"eos_token\":", "\"<|endoftext|>\"",
    "\"dropout\":", "\"continuing_subword_prefix\":", "\"end_of_word_suffix\":", "\"ignore_merges\":", "\"fuse_unk\":",
];

const JSON: &[&str] = &[
    "{", "}", "[", "]", ":", ",", "\"", "null", "true", "false", "-1", "1e999", "18446744073709551615", "9223372036854775807",
    "4294967296", "16777215", "0.5", "\\u0000", "\\ud800", "{\"a\":", "[[[[",
];

const MANIFEST: &[&str] = &[
    "\"format\":", "\"autoane-tokens\"", "\"version\":", "\"tokens\":", "\"documents\":", "\"text_bytes\":", "\"width\":", "\"u16\"",
    "\"u32\"", "\"vocab_size\":", "\"eot\":", "\"tokenizer_sha256\":", "\"sources\":", "\"full_vocab\":", "\"full_of\":", "\"counts\":",
];

const EVENTS: &[&str] = &[
    "\"type\":", "\"step\":", "\"started\"", "\"step\"", "\"eval\"", "\"saved\"", "\"sample\"", "\"finished\"", "\"rollback\"",
    "\"warning\"", "\"text\":", "\"loss\":", "\n", "\u{feff}", "<|endoftext|>", "  config.json\n", "../", "\"spent\":", "\"cursor\":",
];

/// The words of a target, in libFuzzer's form.
pub fn of(target: &str) -> String {
    let own: &[&[&str]] = match target {
        "safetensors" | "index" => &[SAFETENSORS, JSON],
        "config" | "generation_config" => &[CONFIG, JSON],
        "tokenizer_json" | "tokenizer_config" => &[TOKENIZER, JSON],
        "prepared" | "vocab_map" => &[MANIFEST, JSON],
        "token_file" | "gzip" => &[],
        _ => &[EVENTS, JSON],
    };
    own.iter().flat_map(|words| words.iter()).map(|word| format!("{}\n", quoted(word))).collect()
}

fn quoted(word: &str) -> String {
    let byte = |b: u8| match b {
        b'"' | b'\\' => format!("\\{}", b as char),
        0x20..=0x7e => (b as char).to_string(),
        _ => format!("\\x{b:02x}"),
    };
    format!("\"{}\"", word.bytes().map(byte).collect::<String>())
}
