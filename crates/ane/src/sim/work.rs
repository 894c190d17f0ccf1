//! Operations and bytes of one evaluation, counted from the types of a program.

use std::collections::{HashMap, HashSet};

use mil::{Argument, Elements, Function, Statement, Type};

use super::latency::Work;

/// Types of the values of `function`, by name.
pub fn types(function: &Function) -> HashMap<&str, &Type> {
    let results = function.body.iter().flat_map(|s| &s.results);
    function.inputs.iter().chain(results).map(|b| (b.name.as_str(), &b.ty)).collect()
}

/// Work of `function`, whose values have `types`.
pub fn of(function: &Function, types: &HashMap<&str, &Type>) -> Work {
    let outputs = function.outputs.iter().filter_map(|name| types.get(name.as_str()).copied());
    Work {
        flops: function.body.iter().filter(|s| !is_constant(s)).map(|s| flops(s, types)).sum(),
        constant_bytes: constant_bytes(function),
        port_bytes: function.inputs.iter().map(|b| &b.ty).chain(outputs).map(bytes).sum(),
    }
}

fn is_constant(statement: &Statement) -> bool {
    statement.op == "const" || statement.op.starts_with("constexpr_")
}

/// Bytes of the constants that lie in files; one that several statements name counts once.
fn constant_bytes(function: &Function) -> f64 {
    let literals = function.body.iter().flat_map(|s| s.attributes.iter().map(|(_, literal)| literal));
    let mut seen = HashSet::new();
    let baked = literals.filter(|literal| match &literal.elements {
        Elements::Blob { path, offset } => seen.insert((path, offset)),
        _ => false,
    });
    baked.map(|literal| bytes(&literal.ty)).sum()
}

fn elements(ty: &Type) -> f64 {
    ty.shape.iter().map(|&extent| extent as f64).product()
}

fn bytes(ty: &Type) -> f64 {
    elements(ty) * ty.dtype.bits() as f64 / 8.0
}

/// Twice the multiply-adds of a product; one operation an element of anything else.
fn flops(statement: &Statement, types: &HashMap<&str, &Type>) -> f64 {
    let results: f64 = statement.results.iter().map(|b| elements(&b.ty)).sum();
    2.0 * results * terms(statement, types).unwrap_or(0.5)
}

/// Products that are summed for an element of the result.
fn terms(statement: &Statement, types: &HashMap<&str, &Type>) -> Option<f64> {
    let operand = |parameter: &str| match statement.argument(parameter)? {
        Argument::Name(name) => types.get(name.as_str()).copied(),
        _ => None,
    };
    match statement.op.as_str() {
        // [.., m, k] or, transposed, [.., k, m]; where k = m it does not matter which
        "matmul" => {
            let (x, z) = (&operand("x")?.shape, &statement.results.first()?.ty.shape);
            let (m, [.., rows, cols]) = (z.iter().rev().nth(1)?, x.as_slice()) else { return None };
            Some(if rows == m { *cols } else { *rows } as f64)
        }
        "conv" | "linear" => {
            let weight = operand("weight")?;
            Some(elements(weight) / weight.shape.first().map_or(1.0, |&n| n as f64).max(1.0))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mil::{Binding, DType, Literal, Span};

    use super::*;

    fn binding(name: &str, shape: &[usize]) -> Binding {
        Binding { name: name.into(), ty: Type::new(DType::Fp16, shape) }
    }

    fn statement(op: &str, result: Binding, arguments: &[(&str, &str)]) -> Statement {
        let arguments = arguments.iter().map(|(p, v)| (p.to_string(), Argument::Name(v.to_string()))).collect();
        Statement { results: vec![result], op: op.into(), arguments, attributes: Vec::new(), span: Span::default() }
    }

    #[test]
    fn products_count_twice_the_multiply_adds() {
        let mut weight = statement("const", binding("w", &[6, 4, 1, 1]), &[]);
        let blob = Literal::blob(Type::new(DType::Fp16, &[6, 4, 1, 1]), "@model_path/w", 64);
        weight.attributes = vec![("val".into(), blob.clone()), ("again".into(), blob)];
        let function = Function {
            name: "main".into(),
            opset: "ios18".into(),
            inputs: vec![binding("x", &[1, 4, 1, 8]), binding("y", &[1, 1, 8, 4])],
            body: vec![
                weight,
                statement("conv", binding("c", &[1, 6, 1, 8]), &[("x", "x"), ("weight", "w")]), // 6*8*4
                statement("matmul", binding("m", &[1, 4, 1, 4]), &[("x", "x"), ("y", "y")]),    // 4*1*4*8
                statement("matmul", binding("t", &[1, 1, 4, 4]), &[("x", "y"), ("y", "y")]),    // 4*4*8, x transposed
                statement("add", binding("s", &[1, 6, 1, 8]), &[("x", "c"), ("y", "c")]),
            ],
            outputs: vec!["s".into(), "t".into()],
            span: Span::default(),
        };
        let work = of(&function, &types(&function));
        assert_eq!(work.flops, f64::from(2 * (6 * 8 * 4 + 4 * 4 * 8 + 4 * 4 * 8) + 6 * 8));
        assert_eq!(work.constant_bytes, 48.0);
        assert_eq!(work.port_bytes, f64::from(2 * (32 + 32 + 48 + 16)));
    }
}
