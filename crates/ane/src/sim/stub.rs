//! Where parser, checker and interpreter will be called; until then every program is refused.

use mil::{Program, Type};

/// Elements of a port.
pub struct Tensor {
    pub ty: Type,
    pub data: Vec<f32>,
}

impl Tensor {
    pub fn zeros(ty: &Type) -> Tensor {
        Tensor { data: vec![0.0; ty.elements().unwrap_or(0)], ty: ty.clone() }
    }
}

/// A program that is ready to run.
pub struct Executable;

impl Executable {
    pub fn new(_: &Program, _: &[(String, Vec<u8>)]) -> Result<Executable, String> {
        Err("no interpreter yet".into())
    }

    pub fn run(&self, _: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        let copy = |t: &Tensor| Tensor { ty: t.ty.clone(), data: t.data.clone() };
        Ok(inputs.iter().map(copy).collect())
    }
}

pub fn parse(_: &str) -> Result<Program, String> {
    Err("no parser yet".into())
}

pub fn check(_: &Program) -> Result<(), String> {
    Ok(())
}
