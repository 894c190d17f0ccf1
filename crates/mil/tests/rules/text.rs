//! Programs written shortly: `name fp16[1, 2] = op(...)` or `name int32[] = const 1`, a statement a line.

use std::fmt::Write;

use mil::Dialect;

/// `fp16[1, 2]` in the notation of `dialect`.
fn ty(short: &str, dialect: Dialect) -> String {
    let (dtype, shape) = short.split_once('[').unwrap();
    match (shape, dialect) {
        ("]", Dialect::Ios18) => dtype.to_owned(),
        _ => format!("tensor<{dtype}, [{shape}>"),
    }
}

fn statement(line: &str, dialect: Dialect) -> String {
    let (left, right) = line.split_once(" = ").unwrap();
    let (name, short) = left.trim().split_once(' ').unwrap();
    let ty_of_result = ty(short, dialect);
    let string = ty("string[]", dialect);
    match right.strip_prefix("const ") {
        Some(value) => format!("{ty_of_result} {name} = const()[name={string}(\"{name}\"), val={ty_of_result}({value})];"),
        None => format!("{ty_of_result} {name} = {right}[name={string}(\"{name}\")];"),
    }
}

/// The whole program: `inputs` are `name type` separated by `;`, `outputs` names separated by commas.
pub fn program(dialect: Dialect, inputs: &str, body: &str, outputs: &str) -> String {
    let (version, opset, key) = match dialect {
        Dialect::Ios18 => ("1.3", "ios18", "string"),
        Dialect::Ios16 => ("1.0", "ios16", "tensor<string, []>"),
    };
    let inputs: Vec<String> = inputs
        .split(';')
        .map(|input| {
            let (name, short) = input.trim().split_once(' ').unwrap();
            format!("{} {name}", ty(short, dialect))
        })
        .collect();
    let mut text = format!(
        "program({version})\n[buildInfo = dict<{key}, {key}>({{{{\"coremlc-version\", \"3505.4.1\"}}}})]\n{{\n    func main<{opset}>({}) {{\n",
        inputs.join(", ")
    );
    for line in body.lines().filter(|l| !l.trim().is_empty()) {
        writeln!(text, "        {}", statement(line, dialect)).unwrap();
    }
    writeln!(text, "    }} -> ({outputs});\n}}").unwrap();
    text
}
