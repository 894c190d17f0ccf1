//! Programs of the Neural Engine: those that the tests of the language read, without the line that is for the tests.

use super::Seed;

macro_rules! programs {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../crates/mil/tests/filetests/", $name, ".mil")))),*]
    };
}

/// Sound programs, and some that must be refused.
pub fn programs() -> Vec<Seed> {
    let files = programs![
        "print/any_white_space",
        "print/attention_of_a_block",
        "print/binary",
        "print/convolutions",
        "print/earlier_dialect",
        "print/fills",
        "print/norms",
        "print/numbers",
        "print/orders",
        "print/products",
        "print/quantised",
        "print/reductions",
        "print/several_functions",
        "print/shapes",
        "print/slices",
        "print/space",
        "print/texts",
        "reject/deep_nesting",
        "reject/huge_shape",
        "reject/tiled_beyond_measure",
    ];
    let seed = |(name, text): (&str, &str)| {
        let program = text.split_once('\n').map_or("", |(_, program)| program);
        (name.replace('/', "_"), program.as_bytes().to_vec())
    };
    files.into_iter().map(seed).collect()
}
