//! Memory of long windows: it grows with the tokens, never with their square.
#![allow(clippy::unwrap_used)]

use engine::{Options, Shape, Sizes};
use model::{ModelSpec, preset};

const OPTIONS: [Options; 3] = [Options::INFERENCE, Options::TRAINING, Options { gradient: true, recompute: true }];

fn spec() -> ModelSpec {
    preset("stories-36m").unwrap().spec
}

fn bytes(spec: &ModelSpec, rows: usize, seq: usize, options: Options) -> usize {
    Sizes::of(spec, Shape { rows, seq }, options, 2).bytes()
}

/// The same tokens in longer windows: only the scratch of attention grows, and in proportion to the window.
#[test]
fn at_constant_tokens_bytes_are_linear_in_the_window() {
    for options in OPTIONS {
        let [short, middle, long] = [512, 1024, 2048].map(|seq| bytes(&spec(), 2048 / seq, seq, options));
        assert!(short < middle && middle < long, "{options:?}: {short} {middle} {long}");
        assert_eq!(long - middle, 2 * (middle - short), "{options:?}: twice the step in length, twice the bytes");
        assert!(long < short + short / 4, "{options:?}: {long} bytes in one window, {short} in four");
    }
}

/// That scratch belongs to a thread: the heads of the model have no part in it.
#[test]
fn scores_of_all_heads_never_exist() {
    let growth = |heads| {
        let spec = ModelSpec { heads, kv_heads: heads, head_dim: 64, ..spec() };
        bytes(&spec, 1, 4096, Options::TRAINING) - bytes(&spec, 8, 512, Options::TRAINING)
    };
    assert_eq!(growth(4), growth(64));
    assert!(growth(64) < 4 * 4096 * 4096 / 4, "less than a quarter of the scores of one head: {}", growth(64));
}

/// One window that doubles: no more than twice the bytes.
#[test]
fn a_window_of_twice_the_length_takes_twice_the_bytes() {
    for options in OPTIONS {
        let [short, middle, long] = [512, 1024, 2048].map(|seq| bytes(&spec(), 1, seq, options));
        for (half, whole) in [(short, middle), (middle, long)] {
            assert!(whole <= 2 * half, "{options:?}: {half} -> {whole}");
        }
    }
}
