//! The table of operations and the interpreter must agree: every statement of the printed test files is run by itself, and
//! gives the types that the table says, under every profile.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mil::{
    Binding, DType, Data, Elements, Executable, Function, Literal, Numerics, Program, RunError, Statement, Tensor, Type, check,
    parse,
};

fn programs() -> Vec<(String, Program)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests/print");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let program = parse(text.split_once('\n').unwrap().1).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), program)
    };
    paths.into_iter().map(read).collect()
}

/// A constant in the text instead of one in a weight file.
fn in_text(literal: &mut Literal) {
    if matches!(literal.elements, Elements::Blob { .. }) {
        let n = literal.ty.elements().unwrap();
        literal.elements = if literal.ty.dtype.is_float() { Elements::Floats(vec![0.5; n]) } else { Elements::Ints(vec![1; n]) };
    }
}

/// `statement` as a program of its own, with the constants of `function`; what it computes from becomes its inputs.
fn alone(program: &Program, function: &Function, statement: &Statement) -> Program {
    let constants: Vec<Statement> = function.body.iter().filter(|s| s.op == "const").cloned().collect();
    let is_constant = |name: &str| constants.iter().any(|s| s.results[0].name == name);
    let computed = function.body.iter().filter(|s| s.op != "const").flat_map(|s| &s.results);
    let values = function.inputs.iter().chain(computed);
    let mine = |b: &&Binding| !is_constant(&b.name) && statement.results.iter().all(|r| r.name != b.name);
    let inputs = values.filter(mine).cloned().collect();
    let mut body = constants.clone();
    body.push(statement.clone());
    body.iter_mut().flat_map(|s| &mut s.attributes).for_each(|(_, literal)| in_text(literal));
    let outputs = statement.results.iter().map(|r| r.name.clone()).collect();
    let function = Function { inputs, body, outputs, ..function.clone() };
    Program { functions: vec![function], ..program.clone() }
}

/// A tensor of ones, or 1.5 where elements may be.
fn ones(ty: &Type) -> Tensor {
    let n = ty.elements().unwrap();
    let data = match ty.dtype {
        DType::Bool => Data::Bools(vec![true; n]),
        float if float.is_float() => Data::Floats(vec![1.5; n]),
        _ => Data::Ints(vec![1; n]),
    };
    Tensor::new(ty.clone(), data).unwrap()
}

/// The types that the interpreter gives.
fn run(program: &Program, numerics: Numerics) -> Result<Vec<Type>, RunError> {
    let function = &program.functions[0];
    let inputs: Vec<Tensor> = function.inputs.iter().map(|b| ones(&b.ty)).collect();
    let outputs = Executable::new(program, &[], numerics)?.run(&function.name, &inputs)?;
    assert!(outputs.iter().all(Tensor::is_whole));
    Ok(outputs.into_iter().map(|t| t.ty).collect())
}

#[test]
fn what_the_table_types_the_interpreter_computes() {
    let (mut run_at_all, mut unknown, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (file, program) in programs() {
        for function in &program.functions {
            for statement in function.body.iter().filter(|s| s.op != "const") {
                let one = alone(&program, function, statement);
                check(&one).unwrap_or_else(|e| panic!("{file} {}: {e}\n{one}", statement.span));
                for profile in Numerics::NAMES {
                    let types: Vec<Type> = statement.results.iter().map(|r| r.ty.clone()).collect();
                    match run(&one, Numerics::of_name(profile).unwrap()) {
                        Ok(found) if found == types => drop(run_at_all.insert(statement.op.clone())),
                        Err(RunError::Unsupported { op, .. }) => drop(unknown.insert(op)),
                        other => wrong.push(format!("{file} {} {} under {profile}: {other:?}", statement.span, statement.op)),
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // those of the published kernels, and those that ours and other people's need beside them
    for op in [
        "conv",
        "matmul",
        "mul",
        "add",
        "sub",
        "pow",
        "reduce_sum",
        "sigmoid",
        "softmax",
        "reshape",
        "transpose",
        "slice_by_size",
        "concat",
        "cast",
        "scaled_dot_product_attention",
        "quantize",
        "dequantize",
        "constexpr_affine_dequantize",
        "relu",
        "tanh",
        "exp",
        "real_div",
        "reduce_max",
        "slice_by_index",
        "maximum",
        "identity",
    ] {
        assert!(run_at_all.contains(op), "the interpreter has no {op}");
    }
    println!("{} operations run; only typed: {unknown:?}", run_at_all.len());
}
