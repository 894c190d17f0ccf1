//! `mil run`: a program on the interpreter.

use std::path::PathBuf;

use mil::{Executable, Function, Numerics, Program, Tensor};
use serde_json::json;

use crate::cli::{MilRunArgs, NumericsArg};
use crate::exit::{self, Exit};
use crate::npy;
use crate::out::Out;

/// Reads the inputs, runs, writes the outputs that were asked for.
pub(super) fn run(args: &MilRunArgs, out: Out) -> anyhow::Result<()> {
    let program = super::open(&args.file)?;
    let (blobs, missing) = super::weight_files(&program, &args.file)?;
    if let Some(name) = missing.first() {
        let message = format!("{}: weight file {name} is not there", args.file.display());
        return Err(Exit::new(exit::MISSING, message).into());
    }
    let function = function(&program, args)?;
    let outputs = outputs(function, args)?;
    let inputs = inputs(function, args)?;
    let failed = |e: mil::RunError| Exit::new(exit::BAD_DATA, format!("{}: {e}", args.file.display()));
    let executable = Executable::new(&program, &blobs, numerics(args)).map_err(failed)?;
    let results = executable.run(&function.name, &inputs).map_err(failed)?;
    let mut written = Vec::new();
    for (at, path) in outputs {
        let Some(result) = results.get(at) else { continue };
        let values: Vec<f32> = result.numbers().into_iter().map(|v| v as f32).collect();
        npy::write(path, &result.ty.shape, &values)?;
        out.line(format!("{}  {}", path.display(), result.ty))?;
        written.push(json!({ "name": function.outputs[at], "file": path.display().to_string(), "shape": result.ty.shape }));
    }
    out.json(&json!({ "function": function.name, "outputs": written }))
}

fn numerics(args: &MilRunArgs) -> Numerics {
    match args.numerics {
        NumericsArg::Exact => Numerics::exact(),
        NumericsArg::Ane => Numerics::ane(args.chip),
        NumericsArg::F64 => Numerics::oracle(),
    }
}

fn function<'p>(program: &'p Program, args: &MilRunArgs) -> anyhow::Result<&'p Function> {
    let wanted = args.function.as_deref();
    let found = program.functions.iter().find(|f| wanted.is_none_or(|name| name == f.name));
    let names: Vec<&str> = program.functions.iter().map(|f| f.name.as_str()).collect();
    found.ok_or_else(|| exit::usage(format!("--function {}: the program has {}", wanted.unwrap_or("main"), names.join(", "))))
}

/// Which results go to which files.
fn outputs<'a>(function: &Function, args: &'a MilRunArgs) -> anyhow::Result<Vec<(usize, &'a PathBuf)>> {
    let place = |(name, path): &'a (String, PathBuf)| {
        let at = function.outputs.iter().position(|o| o == name);
        let known = function.outputs.join(", ");
        at.map(|at| (at, path)).ok_or_else(|| exit::usage(format!("--output {name}: the program returns {known}")))
    };
    args.output.iter().map(place).collect()
}

fn inputs(function: &Function, args: &MilRunArgs) -> anyhow::Result<Vec<Tensor>> {
    let known: Vec<&str> = function.inputs.iter().map(|i| i.name.as_str()).collect();
    if let Some((name, _)) = args.input.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(exit::usage(format!("--input {name}: the program takes {}", known.join(", "))));
    }
    let given = |binding: &mil::Binding| {
        let given = args.input.iter().find(|(name, _)| *name == binding.name);
        let lacking =
            || exit::usage(format!("--input {0}={0}.npy is missing: the program takes {1}", binding.name, known.join(", ")));
        let (_, path) = given.ok_or_else(lacking)?;
        let array = npy::read(path)?;
        if array.shape != binding.ty.shape {
            let message = format!(
                "{}: expected shape {:?} for input {}, found {:?}",
                path.display(),
                binding.ty.shape,
                binding.name,
                array.shape
            );
            return Err(Exit::new(exit::BAD_DATA, message).into());
        }
        let tensor = match binding.ty.dtype.is_float() {
            true => Tensor::floats(binding.ty.clone(), array.values),
            false => Tensor::ints(binding.ty.clone(), array.values.into_iter().map(|v| v as i64).collect()),
        };
        tensor.map_err(|e| Exit::new(exit::BAD_DATA, format!("{}: {e}", path.display())).into())
    };
    function.inputs.iter().map(given).collect()
}
