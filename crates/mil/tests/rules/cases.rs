//! The programs: for each rule one or more that break it, and one or more that stay just within it.

use mil::rules::Process;
use mil::{Chip, Dialect};

use super::text::program;

/// A program and what it is checked for.
#[derive(Clone)]
pub struct Case {
    pub rule: &'static str,
    pub breaks: bool,
    pub chip: Chip,
    pub strict: bool,
    pub process: Process,
    pub blobs: Vec<(String, Vec<u8>)>,
    dialect: Dialect,
    inputs: String,
    body: String,
    outputs: String,
}

impl Case {
    pub fn text(&self) -> String {
        program(self.dialect, &self.inputs, &self.body, &self.outputs)
    }

    fn on(mut self, chip: Chip) -> Case {
        self.chip = chip;
        // the older chips want the older dialect: a rule of its own
        self.dialect = if chip <= Chip::M2 { Dialect::Ios16 } else { Dialect::Ios18 };
        self
    }

    pub fn lenient(mut self) -> Case {
        self.strict = false;
        self
    }

    fn blob(mut self, path: &str, file: Vec<u8>) -> Case {
        self.blobs.push((path.to_owned(), file));
        self
    }

    fn after(mut self, process: Process) -> Case {
        self.process = process;
        self
    }

    fn dialect(mut self, dialect: Dialect) -> Case {
        self.dialect = dialect;
        self
    }
}

fn case(rule: &'static str, breaks: bool, inputs: &str, body: &str, outputs: &str) -> Case {
    let [inputs, body, outputs] = [inputs, body, outputs].map(str::to_owned);
    let (chip, dialect, process) = (Chip::M4, Dialect::Ios18, Process::default());
    Case { rule, breaks, chip, strict: true, process, blobs: Vec::new(), dialect, inputs, body, outputs }
}

fn breaks(rule: &'static str, inputs: &str, body: &str, outputs: &str) -> Case {
    case(rule, true, inputs, body, outputs)
}

fn keeps(rule: &'static str, inputs: &str, body: &str, outputs: &str) -> Case {
    case(rule, false, inputs, body, outputs)
}

/// The smallest input that no rule minds.
const ACT: &str = "act_in fp16[1, 768, 1, 32]";
const RELU: &str = "out_1 fp16[1, 768, 1, 32] = relu(x=act_in)";

pub fn cases() -> Vec<Case> {
    [types(), shapes(), convolutions(), availability(), ports(), weights(), graph(), numerics(), process()].concat()
}

fn types() -> Vec<Case> {
    let six = "shape_1 int32[6] = const [1, 2, 2, 192, 1, 32]
        mid_1 fp16[1, 2, 2, 192, 1, 32] = reshape(x=act_in, shape=shape_1)
        shape_2 int32[4] = const [1, 768, 1, 32]
        out_1 fp16[1, 768, 1, 32] = reshape(x=mid_1, shape=shape_2)";
    let five = six.replace("[6]", "[5]").replace("2, 2, 192, 1", "4, 192, 1");
    let wide = "to_32 string[] = const \"fp32\"
        to_16 string[] = const \"fp16\"
        wide_1 fp32[1, 768, 1, 32] = cast(x=act_in, dtype=to_32)
        wide_2 fp32[1, 768, 1, 32] = relu(x=wide_1)
        out_1 fp16[1, 768, 1, 32] = cast(x=wide_2, dtype=to_16)";
    let boundary = "to_16 string[] = const \"fp16\"
        to_32 string[] = const \"fp32\"
        half_1 fp16[1, 768, 1, 32] = cast(x=act_in, dtype=to_16)
        half_2 fp16[1, 768, 1, 32] = relu(x=half_1)
        out_1 fp32[1, 768, 1, 32] = cast(x=half_2, dtype=to_32)";
    let cast = "to_16 string[] = const \"fp16\"\nout_1 fp16[1, 768, 1, 32] = cast(x=act_in, dtype=to_16)";
    let quantized = "scale_1 fp16[] = const 0.125\nout_1 fp16[1, 768, 1, 64] = dequantize(input=act_in, scale=scale_1)";
    let literal = "out_1 fp16[1, 768, 1, 32] = softmax(x=act_in, axis=int32(-1))";
    let named = "axis_1 int32[] = const -1\nout_1 fp16[1, 768, 1, 32] = softmax(x=act_in, axis=axis_1)";
    let wide_in = "act_in fp32[1, 768, 1, 32]";
    vec![
        breaks("ANE-01", ACT, six, "out_1"),
        keeps("ANE-01", ACT, &five, "out_1"),
        breaks("ANE-02", ACT, wide, "out_1"),
        keeps("ANE-02", wide_in, boundary, "out_1"),
        breaks("ANE-03", ACT, cast, "out_1").on(Chip::M1),
        keeps("ANE-03", ACT, RELU, "out_1").on(Chip::M1),
        breaks("ANE-04", "act_in int8[1, 768, 1, 64]", quantized, "out_1"),
        keeps("ANE-04", wide_in, boundary, "out_1"),
        breaks("ANE-05", ACT, literal, "out_1"),
        keeps("ANE-05", ACT, named, "out_1"),
        breaks("ANE-06", ACT, &RELU.replace("out_1", "mul"), "mul"),
        breaks("ANE-06", ACT, &RELU.replace("out_1", "z"), "z"),
        keeps("ANE-06", ACT, &RELU.replace("out_1", "mul_1"), "mul_1"),
        breaks("ANE-07", ACT, RELU, "out_1").on(Chip::M2).dialect(Dialect::Ios18),
        keeps("ANE-07", ACT, RELU, "out_1").on(Chip::M2),
    ]
}

fn relu_of(shape: &str) -> (String, String) {
    (format!("act_in fp16[{shape}]"), format!("out_1 fp16[{shape}] = relu(x=act_in)"))
}

fn relu_case(rule: &'static str, is_broken: bool, shape: &str) -> Case {
    let (inputs, body) = relu_of(shape);
    case(rule, is_broken, &inputs, &body, "out_1")
}

/// A matmul of an input of `rows` rows with itself, contracting the rows.
fn gram(rule: &'static str, is_broken: bool, rows: usize) -> Case {
    let body = "yes_1 bool[] = const true
        no_1 bool[] = const false
        out_1 fp16[1, 1, 1024, 1024] = matmul(x=act_in, y=act_in, transpose_x=yes_1, transpose_y=no_1)";
    case(rule, is_broken, &format!("act_in fp16[1, 1, {rows}, 1024]"), body, "out_1").on(Chip::M1)
}

/// The product of an input and its own sum over an axis.
fn times_sum(rule: &'static str, is_broken: bool, shape: &str, axis: usize, sum: &str) -> Case {
    let body = format!(
        "axes_1 int32[1] = const [{axis}]
        keep_1 bool[] = const true
        sum_1 fp16[{sum}] = reduce_sum(x=act_in, axes=axes_1, keep_dims=keep_1)
        out_1 fp16[{shape}] = mul(x=act_in, y=sum_1)"
    );
    case(rule, is_broken, &format!("act_in fp16[{shape}]"), &body, "out_1")
}

fn shapes() -> Vec<Case> {
    let softmax =
        |channels: usize| format!("axis_1 int32[] = const 1\nout_1 fp16[1, {channels}, 1, 32] = softmax(x=act_in, axis=axis_1)");
    vec![
        relu_case("ANE-08", true, "1, 32, 1, 16416").on(Chip::M3),
        relu_case("ANE-08", false, "1, 32, 1, 16384").on(Chip::M3),
        relu_case("ANE-08", false, "1, 32, 1, 65536"),
        relu_case("ANE-08", true, "1, 32, 1, 65568"),
        relu_case("ANE-09", true, "1, 65537, 1, 32"),
        relu_case("ANE-09", false, "1, 65536, 1, 32"),
        relu_case("ANE-10", true, "1, 768, 1, 48"),
        relu_case("ANE-10", false, "1, 768, 1, 64"),
        relu_case("ANE-11", true, "1, 767, 1, 32"),
        relu_case("ANE-11", false, "1, 768, 1, 32"),
        gram("ANE-12", true, 48),
        gram("ANE-12", false, 64),
        breaks("ANE-13", ACT, &softmax(768), "out_1"),
        keeps("ANE-13", "act_in fp16[1, 1024, 1, 32]", &softmax(1024), "out_1"),
        times_sum("ANE-14", true, "1, 768, 32", 2, "1, 768, 1").on(Chip::M1),
        times_sum("ANE-14", false, "1, 768, 1, 32", 3, "1, 768, 1, 1").on(Chip::M1),
        times_sum("ANE-15", true, "2, 768, 1, 32", 0, "1, 768, 1, 32").on(Chip::M3),
        times_sum("ANE-15", false, "2, 768, 1, 32", 1, "2, 1, 1, 32").on(Chip::M3),
    ]
}

/// Parameters of every convolution here; `same` keeps the extents.
const CONV: &str = "pad_type_1 string[] = const \"same\"
    strides_1 int32[2] = const [1, 1]
    pads_1 int32[4] = const [0, 0, 0, 0]
    dilations_1 int32[2] = const [1, 1]
    groups_1 int32[] = const 1\n";
const CONV_ARGUMENTS: &str = "strides=strides_1, pad_type=pad_type_1, pad=pads_1, dilations=dilations_1, groups=groups_1";

/// A convolution with a weight from a file: `weight` is `[out, in, height, width]`, the input `[1, in, spatial]`.
fn conv(rule: &'static str, is_broken: bool, weight: [usize; 4], spatial: &str) -> Case {
    let [out, channels, height, width] = weight;
    let body = format!(
        "{CONV}
        weight_1 fp16[{out}, {channels}, {height}, {width}] = const BLOBFILE(path=string(\"@model_path/weights/w.bin\"), offset=uint64(64))
        out_1 fp16[1, {out}, {spatial}] = conv(x=act_in, weight=weight_1, {CONV_ARGUMENTS})"
    );
    case(rule, is_broken, &format!("act_in fp16[1, {channels}, {spatial}]"), &body, "out_1")
}

/// A convolution whose weight is part of the input.
fn conv_of_computed(rule: &'static str, is_broken: bool, batch: usize) -> Case {
    let body = format!(
        "{CONV}
        begin_1 int32[4] = const [0, 0, 0, 0]
        size_1 int32[4] = const [1, 768, 1, 32]
        shape_1 int32[4] = const [32, 768, 1, 1]
        part_1 fp16[1, 768, 1, 32] = slice_by_size(x=act_in, begin=begin_1, size=size_1)
        weight_1 fp16[32, 768, 1, 1] = reshape(x=part_1, shape=shape_1)
        out_1 fp16[{batch}, 32, 1, 1024] = conv(x=act_in, weight=weight_1, {CONV_ARGUMENTS})"
    );
    case(rule, is_broken, &format!("act_in fp16[{batch}, 768, 1, 1024]"), &body, "out_1")
}

fn convolutions() -> Vec<Case> {
    let three = format!(
        "{CONV}
        weight_1 fp16[64, 64, 1, 1, 1] = const BLOBFILE(path=string(\"@model_path/weights/w.bin\"), offset=uint64(64))
        out_1 fp16[1, 64, 1, 16, 64] = conv(x=act_in, weight=weight_1, {CONV_ARGUMENTS})"
    );
    let three = three.replace("int32[2] = const [1, 1]", "int32[3] = const [1, 1, 1]");
    let three = three.replace("int32[4] = const [0, 0, 0, 0]", "int32[6] = const [0, 0, 0, 0, 0, 0]");
    let biased = format!(
        "{CONV}
        weight_1 fp16[768, 768, 1, 1] = const BLOBFILE(path=string(\"@model_path/weights/w.bin\"), offset=uint64(64))
        bias_1 fp16[768] = const BLOBFILE(path=string(\"@model_path/weights/b.bin\"), offset=uint64(64))
        out_1 fp16[1, 768, 1, 32] = conv(x=act_in, weight=weight_1, bias=bias_1, {CONV_ARGUMENTS})"
    );
    vec![
        conv("ANE-16", true, [768, 32_000, 1, 1], "1, 32"),
        conv("ANE-16", false, [32_000, 768, 1, 1], "1, 32"),
        conv("ANE-17", true, [768, 16_385, 1, 1], "1, 32").lenient(),
        conv("ANE-17", false, [768, 16_384, 1, 1], "1, 32").lenient(),
        conv("ANE-18", true, [64, 64, 1, 16], "16, 64").on(Chip::M5),
        conv("ANE-18", false, [64, 64, 1, 15], "16, 64").on(Chip::M5),
        conv("ANE-19", true, [64, 64, 33, 1], "64, 64"),
        conv("ANE-19", false, [64, 64, 32, 1], "64, 64"),
        breaks("ANE-20", "act_in fp16[1, 64, 1, 16, 64]", &three, "out_1"),
        conv("ANE-20", false, [64, 64, 1, 1], "16, 64"),
        conv_of_computed("ANE-21", true, 1).on(Chip::M3),
        conv_of_computed("ANE-21", false, 1).on(Chip::M4),
        conv_of_computed("ANE-22", true, 2),
        conv_of_computed("ANE-22", false, 1),
        breaks("ANE-23", ACT, &biased, "out_1"),
        conv("ANE-23", false, [768, 768, 1, 1], "1, 32"),
        conv("ANE-24", true, [768, 5_120, 1, 1], "1, 32"),
        conv("ANE-24", false, [768, 5_119, 1, 1], "1, 32"),
    ]
}

/// `op` of one operand, with its result's shape as the input's.
fn unary(rule: &'static str, is_broken: bool, op: &str) -> Case {
    case(rule, is_broken, ACT, &RELU.replace("relu", op), "out_1")
}

/// `op` over the channels, which are 768.
fn reduction(rule: &'static str, is_broken: bool, op: &str, then: &str) -> Case {
    let body = format!(
        "axes_1 int32[1] = const [1]
        keep_1 bool[] = const true
        {then} fp16[1, 1, 32, 1024] = {op}(x=act_in, axes=axes_1, keep_dims=keep_1)"
    );
    let root = "\nscale_1 fp16[] = const 0.5
        half_1 fp16[1, 1, 32, 1024] = mul(x=sum_1, y=scale_1)
        out_1 fp16[1, 1, 32, 1024] = sqrt(x=half_1)";
    let body = if then == "sum_1" { body + root } else { body };
    case(rule, is_broken, "act_in fp16[1, 768, 32, 1024]", &body, "out_1")
}

fn availability() -> Vec<Case> {
    let heads = "act_in fp16[1, 12, 64, 64]";
    let attention = |mask: &str| {
        format!("out_1 fp16[1, 12, 64, 64] = scaled_dot_product_attention(query=act_in, key=act_in, value=act_in{mask})")
    };
    let masked = "mask_1 fp16[1, 1, 64, 64] = const BLOBFILE(path=string(\"@model_path/weights/m.bin\"), offset=uint64(64))\n";
    let tile = "reps_1 int32[4] = const [1, 2, 1, 1]\nout_1 fp16[1, 1536, 1, 32] = tile(x=act_in, reps=reps_1)";
    let concat = "axis_1 int32[] = const 1
        no_1 bool[] = const false
        out_1 fp16[1, 1536, 1, 32] = concat(values=(act_in, act_in), axis=axis_1, interleave=no_1)";
    let resized = "height_1 int32[] = const 1
        width_1 int32[] = const 64
        out_1 fp16[1, 768, 1, 64] = resize_nearest_neighbor(x=act_in, target_size_height=height_1, target_size_width=width_1)";
    let power = "power_1 fp16[] = const -0.5\nout_1 fp16[1, 768, 1, 32] = pow(x=act_in, y=power_1)";
    let norm = "axes_1 int32[1] = const [1]\nout_1 fp16[1, 768, 1, 32] = layer_norm(x=act_in, axes=axes_1)";
    let three = "act_a fp16[1, 768, 32]; act_b fp16[1, 768, 32]";
    let product = "out_1 fp16[1, 768, 32] = mul(x=act_a, y=act_b)";
    let reshaped = "shape_1 int32[3] = const [1, 384, 64]
        prod_1 fp16[1, 768, 32] = mul(x=act_a, y=act_b)
        out_1 fp16[1, 384, 64] = reshape(x=prod_1, shape=shape_1)";
    let quotient = "root_1 fp16[1, 768, 1, 32] = sqrt(x=act_in)\nout_1 fp16[1, 768, 1, 32] = real_div(x=root_1, y=act_in)";
    vec![
        breaks("ANE-25", heads, &format!("{masked}{}", attention(", attn_mask=mask_1")), "out_1"),
        keeps("ANE-25", heads, &attention(""), "out_1"),
        breaks("ANE-26", ACT, tile, "out_1"),
        keeps("ANE-26", ACT, concat, "out_1"),
        unary("ANE-27", true, "tan"),
        unary("ANE-27", false, "tanh"),
        breaks("ANE-28", ACT, resized, "out_1").on(Chip::M1),
        keeps("ANE-28", ACT, resized, "out_1").on(Chip::M2),
        unary("ANE-29", true, "sin").on(Chip::M2),
        unary("ANE-29", false, "sin").on(Chip::M3),
        reduction("ANE-30", true, "reduce_mean", "out_1"),
        reduction("ANE-30", false, "reduce_sum", "out_1"),
        unary("ANE-31", true, "rsqrt"),
        unary("ANE-31", true, "inverse"),
        keeps("ANE-31", ACT, power, "out_1"),
        reduction("ANE-32", true, "reduce_sum", "sum_1"),
        unary("ANE-32", false, "sqrt"),
        unary("ANE-33", true, "silu"),
        unary("ANE-33", false, "sigmoid"),
        unary("ANE-34", true, "exp").on(Chip::M5),
        unary("ANE-34", false, "exp").on(Chip::M4),
        breaks("ANE-35", ACT, norm, "out_1").on(Chip::M2),
        keeps("ANE-35", ACT, norm, "out_1").on(Chip::M3),
        breaks("ANE-36", three, reshaped, "out_1").on(Chip::M1),
        keeps("ANE-36", three, product, "out_1").on(Chip::M1),
        breaks("ANE-37", ACT, quotient, "out_1").on(Chip::M1),
        keeps("ANE-37", ACT, &quotient.replace("x=root_1, y=act_in", "x=act_in, y=root_1"), "out_1").on(Chip::M1),
        times_sum("ANE-37", false, "1, 768, 1, 32", 1, "1, 1, 1, 32").on(Chip::M1),
    ]
}

/// `n` inputs and their sum.
fn sum_of(rule: &'static str, is_broken: bool, n: usize) -> Case {
    let inputs: Vec<String> = (0..n).map(|i| format!("act_{i:03} fp16[1, 768, 1, 32]")).collect();
    let mut body = "sum_000 fp16[1, 768, 1, 32] = relu(x=act_000)".to_owned();
    for i in 1..n {
        body += &format!("\nsum_{i:03} fp16[1, 768, 1, 32] = add(x=sum_{:03}, y=act_{i:03})", i - 1);
    }
    case(rule, is_broken, &inputs.join("; "), &body, &format!("sum_{:03}", n - 1)).on(Chip::M5)
}

/// `n` outputs.
fn outputs(rule: &'static str, is_broken: bool, n: usize) -> Case {
    let names: Vec<String> = (0..n).map(|i| format!("out_{i:03}")).collect();
    let body: Vec<String> = names.iter().map(|name| RELU.replace("out_1", name)).collect();
    case(rule, is_broken, ACT, &body.join("\n"), &names.join(", "))
}

/// Inputs `first` and `second`, one after the other along the channels.
fn two(rule: &'static str, is_broken: bool, first: &str, second: &str) -> Case {
    let name = |input: &str| input.split(' ').next().unwrap().to_owned();
    let body = format!(
        "axis_1 int32[] = const 1
        no_1 bool[] = const false
        out_1 fp16[1, 2304, 1, 32] = concat(values=({}, {}), axis=axis_1, interleave=no_1)",
        name(first),
        name(second)
    );
    case(rule, is_broken, &format!("{first}; {second}"), &body, "out_1").on(Chip::M5)
}

fn ports() -> Vec<Case> {
    let small = "begin_1 int32[4] = const [0, 0, 0, 0]
        size_1 int32[4] = const [1, 768, 1, 32]
        out_1 fp16[1, 768, 1, 32] = slice_by_size(x=act_a, begin=begin_1, size=size_1)
        out_2 fp16[1, 768, 1, 32] = slice_by_size(x=act_b, begin=begin_1, size=size_1)";
    let mixed = "act_a fp16[1, 768, 1, 64]; act_b fp16[1, 768, 1, 96]";
    let large = small.replace(
        "out_1 fp16[1, 768, 1, 32] = slice_by_size(x=act_a, begin=begin_1, size=size_1)",
        "out_1 fp16[1, 768, 1, 64] = relu(x=act_a)",
    );
    vec![
        sum_of("ANE-38", true, 9),
        sum_of("ANE-38", false, 8),
        outputs("ANE-39", true, 129),
        outputs("ANE-39", false, 128),
        two("ANE-40", true, "b_in fp16[1, 768, 1, 32]", "a_in fp16[1, 1536, 1, 32]"),
        two("ANE-40", false, "a_in fp16[1, 768, 1, 32]", "b_in fp16[1, 1536, 1, 32]"),
        two("ANE-41", true, "a_in fp16[1, 1536, 1, 32]", "b_in fp16[1, 768, 1, 32]"),
        two("ANE-41", false, "a_in fp16[1, 1152, 1, 32]", "b_in fp16[1, 1152, 1, 32]"),
        sum_of("ANE-42", true, 2).on(Chip::M4),
        sum_of("ANE-42", false, 1).on(Chip::M4),
        breaks("ANE-43", mixed, small, "out_1, out_2").on(Chip::M1),
        keeps("ANE-43", mixed, &large, "out_1, out_2").on(Chip::M1),
    ]
}

/// `n` matrices of 491,520,000 bytes.
fn large_weights(rule: &'static str, is_broken: bool, n: usize) -> Case {
    let mut body = CONV.to_owned();
    for i in 0..n {
        body += &format!(
            "weight_{i} fp16[60000, 4096, 1, 1] = const BLOBFILE(path=string(\"@model_path/weights/w{i}.bin\"), offset=uint64(64))
            out_{i} fp16[1, 60000, 1, 32] = conv(x=act_in, weight=weight_{i}, {CONV_ARGUMENTS})\n"
        );
    }
    let names: Vec<String> = (0..n).map(|i| format!("out_{i}")).collect();
    case(rule, is_broken, "act_in fp16[1, 4096, 1, 32]", &body, &names.join(", "))
}

/// A file with one record of fp16, all zeros but the `first` bytes.
fn file(sentinel: u32, bytes: u64, offset: u64, first: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 128 + 768 * 768 * 2];
    file[0] = 1;
    file[4] = 2;
    file[64..68].copy_from_slice(&sentinel.to_le_bytes());
    file[68] = 1;
    file[72..80].copy_from_slice(&bytes.to_le_bytes());
    file[80..88].copy_from_slice(&offset.to_le_bytes());
    file[128..128 + first.len()].copy_from_slice(first);
    file
}

fn weights() -> Vec<Case> {
    let path = "@model_path/weights/w.bin";
    let with = |is_broken, file| conv("ANE-45", is_broken, [768, 768, 1, 1], "1, 32").blob(path, file);
    let size = 768 * 768 * 2;
    vec![
        large_weights("ANE-44", true, 4),
        large_weights("ANE-44", false, 3),
        with(true, file(0xDEAD_BEEF, 524_288, 128, &[])),
        with(true, file(0xDEAD_BEEF, size, 0, &[])),
        with(true, file(0xDEAD_BEEF, size, 129, &[])),
        with(true, file(0xBEEF, size, 128, &[])),
        with(false, file(0xDEAD_BEEF, size, 128, &[])),
    ]
}

/// `n` convolutions, one upon the other.
fn chain(rule: &'static str, is_broken: bool, n: usize) -> Case {
    let weight = "weight_1 fp16[768, 768, 1, 1] = const BLOBFILE(path=string(\"@model_path/weights/w.bin\"), offset=uint64(64))";
    let mut body = format!("{CONV}{weight}\nact_000 fp16[1, 768, 1, 32] = relu(x=act_in)");
    for i in 1..=n {
        let before = i - 1;
        body += &format!("\nact_{i:03} fp16[1, 768, 1, 32] = conv(x=act_{before:03}, weight=weight_1, {CONV_ARGUMENTS})");
    }
    case(rule, is_broken, ACT, &body, &format!("act_{n:03}"))
}

/// `n` slices of the input, side by side again.
fn branches(rule: &'static str, is_broken: bool, n: usize) -> Case {
    let mut body = "size_1 int32[4] = const [1, 768, 1, 32]\naxis_1 int32[] = const -1\nno_1 bool[] = const false".to_owned();
    for i in 0..n {
        body += &format!(
            "\nbegin_{i} int32[4] = const [0, 0, 0, {}]
            part_{i} fp16[1, 768, 1, 32] = slice_by_size(x=act_in, begin=begin_{i}, size=size_1)",
            32 * i
        );
    }
    let parts: Vec<String> = (0..n).map(|i| format!("part_{i}")).collect();
    let width = 32 * n;
    body += &format!("\nout_1 fp16[1, 768, 1, {width}] = concat(values=({}), axis=axis_1, interleave=no_1)", parts.join(", "));
    case(rule, is_broken, &format!("act_in fp16[1, 768, 1, {width}]"), &body, "out_1")
}

fn graph() -> Vec<Case> {
    let unused = format!("idle_1 fp16[1, 768, 1, 32] = tanh(x=act_in)\n{RELU}");
    vec![
        breaks("ANE-46", ACT, &unused, "out_1"),
        keeps("ANE-46", ACT, &unused, "idle_1, out_1"),
        chain("ANE-47", true, 257),
        chain("ANE-47", false, 256),
        branches("ANE-48", true, 12),
        branches("ANE-48", false, 11),
    ]
}

fn slice(rule: &'static str, is_broken: bool, begin: usize, chip: Chip) -> Case {
    let body = format!(
        "begin_1 int32[4] = const [0, 0, 0, {begin}]
        size_1 int32[4] = const [1, 768, 1, 32]
        out_1 fp16[1, 768, 1, 32] = slice_by_size(x=act_in, begin=begin_1, size=size_1)"
    );
    case(rule, is_broken, "act_in fp16[1, 768, 1, 64]", &body, "out_1").on(chip)
}

fn matmul_with(rule: &'static str, is_broken: bool, value: f64) -> Case {
    let values: Vec<String> = (0..32 * 32).map(|i| if i == 33 { format!("{value:?}") } else { "0.5".to_owned() }).collect();
    let body = format!(
        "no_1 bool[] = const false
        table_1 fp16[1, 1, 32, 32] = const [{}]
        out_1 fp16[1, 1, 768, 32] = matmul(x=act_in, y=table_1, transpose_x=no_1, transpose_y=no_1)",
        values.join(", ")
    );
    case(rule, is_broken, "act_in fp16[1, 1, 768, 32]", &body, "out_1").on(Chip::M1)
}

fn plus(rule: &'static str, is_broken: bool, value: &str) -> Case {
    let body = format!("limit_1 fp16[] = const {value}\nout_1 fp16[1, 768, 1, 32] = add(x=act_in, y=limit_1)");
    case(rule, is_broken, ACT, &body, "out_1")
}

fn numerics() -> Vec<Case> {
    let path = "@model_path/weights/w.bin";
    let infinite = file(0xDEAD_BEEF, 768 * 768 * 2, 128, &[0, 0, 0, 0x7c]);
    vec![
        slice("ANE-49", true, 32, Chip::M2),
        slice("ANE-49", false, 0, Chip::M2),
        slice("ANE-49", false, 32, Chip::M3),
        matmul_with("ANE-50", true, 32_768.0),
        matmul_with("ANE-50", false, 32_752.0),
        plus("ANE-51", true, "-70000.0"),
        plus("ANE-51", false, "-65504.0"),
        conv("ANE-51", true, [768, 768, 1, 1], "1, 32").blob(path, infinite),
    ]
}

fn process() -> Vec<Case> {
    let after = |rule, is_broken, process| case(rule, is_broken, ACT, RELU, "out_1").after(process);
    let compiled = |compiled| Process { compiled, ..Process::default() };
    let loaded = |loaded| Process { loaded, ..Process::default() };
    let surface_bytes = |surface_bytes| Process { surface_bytes, ..Process::default() };
    vec![
        after("ANE-52", true, compiled(119)),
        after("ANE-52", false, compiled(118)),
        after("ANE-53", true, loaded(128)),
        after("ANE-53", false, loaded(127)),
        after("ANE-54", true, surface_bytes(220_000_001)),
        after("ANE-54", false, surface_bytes(220_000_000)),
    ]
}
