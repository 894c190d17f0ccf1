//! [`Graph`]: a kernel being built: the builder of its program, its ports, the weight files it names, and its FLOPs, counted
//! where products are made.
//! Legend: c channels, s tokens, a and b extents of a matrix.

use mil::{BuildError, Builder, DType, Dialect, Literal, Type, Var};

use super::weights;
use crate::{Baked, BlockShape, KernelForm, KernelSpec, Packed};

/// A weight that lies in a surface: `[1, 1, a, b]`.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    var: Var,
    /// `[in, out]` instead of the layout's `[out, in]`.
    turned: bool,
}

/// A kernel being built.
pub(super) struct Graph<'s> {
    pub b: Builder,
    pub shape: &'s BlockShape,
    form: KernelForm,
    /// First layer counts 0; only programs of several layers go beyond.
    pub layer: usize,
    inputs: Vec<(Packed, Var)>,
    baked: Vec<(String, Baked, usize, Var)>,
    flops: f64,
}

impl<'s> Graph<'s> {
    /// A kernel that reads `ports`. In the original form products are made as the published kernels make them.
    pub fn new(shape: &'s BlockShape, form: KernelForm, ports: Vec<Packed>) -> Graph<'s> {
        let mut b = Builder::new(Dialect::Ios18);
        let inputs = ports.into_iter().map(|p| {
            let var = b.input(p.port, &p.ty());
            (p, var)
        });
        let inputs = inputs.collect();
        Graph { b, shape, form, layer: 0, inputs, baked: Vec::new(), flops: 0.0 }
    }

    /// A kernel that reads one surface of `fields`, one after the other along the channels, a column a token.
    pub fn reading(shape: &'s BlockShape, fields: &[(&'static str, usize)]) -> Graph<'s> {
        Graph::new(shape, KernelForm::Fused, vec![Packed::channels("x_in", shape.seq, fields)])
    }

    /// Neighbouring fields of a port as one tensor `[1, c, 1, width]`.
    pub fn fields(&mut self, names: &[&str]) -> Var {
        let holds = |(p, _): &&(Packed, Var)| names.iter().all(|n| p.field(n).is_some());
        // a name that no port has is a mistake of the kernel, which its test sees as a shape that does not fit
        let (packed, var) = self.inputs.iter().find(holds).unwrap_or(&self.inputs[0]);
        let chosen = || names.iter().filter_map(|n| packed.field(n));
        let first = |of: fn(&crate::Field) -> usize| chosen().map(of).min().unwrap_or(0);
        let (channel, column) = (first(|f| f.first_channel), first(|f| f.first_column));
        let channels = chosen().map(|f| f.first_channel + f.channels).max().unwrap_or(0) - channel;
        let width = chosen().map(|f| f.first_column + f.width).max().unwrap_or(0) - column;
        if packed.shape() == [1, channels, 1, width] {
            return *var;
        }
        let var = *var;
        self.b.slice(var, &[0, channel, 0, column], &[1, channels, 1, width])
    }

    /// One field `[1, c, 1, width]`.
    pub fn field(&mut self, name: &str) -> Var {
        self.fields(&[name])
    }

    /// Neighbouring fields that hold weights, as one matrix.
    pub fn weight(&mut self, names: &[&str]) -> Weight {
        let field = self.inputs.iter().find_map(|(p, _)| p.field(names.first()?));
        let turned = matches!(field.and_then(|f| f.holds), Some(Baked::Transposed(_)));
        let var = self.fields(names);
        Weight { var: self.flat(var), turned }
    }

    /// A weight file of the layer, as a constant of `shape`.
    pub fn baked(&mut self, what: Baked, shape: &[usize]) -> Var {
        let layer = if what.is_weight() { self.layer } else { 0 };
        if let Some((.., var)) = self.baked.iter().find(|(_, w, l, _)| (*w, *l) == (what, layer)) {
            return *var;
        }
        let path = self.path(what);
        let var = self.b.blob(&self.constant(what), &Type::new(DType::Fp16, shape), &path, weights::FIRST);
        self.baked.push((path, what, layer, var));
        var
    }

    /// An 8-bit weight file of the layer, as a constant `[rows, cols, 1, 1]` in fp16.
    pub fn baked_int8(&mut self, part: model::Part, rows: usize, cols: usize) -> Var {
        let what = Baked::Int8(part);
        if let Some((.., var)) = self.baked.iter().find(|(_, w, l, _)| (*w, *l) == (what, self.layer)) {
            return *var;
        }
        let path = self.path(what);
        let levels = Literal::blob(Type::new(DType::Int8, &[rows, cols, 1, 1]), &path, weights::FIRST);
        let scales = Literal::blob(Type::new(DType::Fp16, &[rows]), &path, weights::scales_offset(rows * cols));
        let var = self.b.constexpr_affine_dequantize(levels, scales, Literal::int(DType::Int8, 0), 0);
        self.baked.push((path, what, self.layer, var));
        var
    }

    fn path(&self, what: Baked) -> String {
        format!("@model_path/weights/{}.bin", self.constant(what))
    }

    /// Name of the constant that holds `what`.
    fn constant(&self, what: Baked) -> String {
        let name = weights::name(what);
        if self.layer == 0 || !what.is_weight() { name } else { format!("{name}_l{}", self.layer) }
    }

    /// `[1, 1, c, s]` of `[1, c, 1, s]`.
    pub fn flat(&mut self, x: Var) -> Var {
        let shape = self.extents(x);
        self.b.reshape(x, &[1, 1, shape[1] * shape[2], shape[3]])
    }

    /// `[1, c, 1, s]` of `[1, n, m, s]` with `c = n m`.
    pub fn channels(&mut self, x: Var) -> Var {
        let shape = self.extents(x);
        self.b.reshape(x, &[1, shape[1] * shape[2], 1, shape[3]])
    }

    /// `y = W x`.  `x` `[1, in, 1, s]` to `[1, out, 1, s]`
    pub fn through(&mut self, w: Weight, x: Var) -> Var {
        if w.turned { self.contract(w.var, x) } else { self.apply(w.var, x) }
    }

    /// `dx = W^T dy`.  `dy` `[1, out, 1, s]` to `[1, in, 1, s]`
    pub fn back(&mut self, w: Weight, dy: Var) -> Var {
        if w.turned { self.apply(w.var, dy) } else { self.contract(w.var, dy) }
    }

    /// Sum over the rows of the matrix: `[a, b]^T [a, s]`.
    fn contract(&mut self, w: Var, x: Var) -> Var {
        let x = self.flat(x);
        let y = match self.form {
            KernelForm::Fused => self.matmul(w, x, true, false),
            KernelForm::Original => self.in_rows(x, w),
        };
        self.channels(y)
    }

    /// Sum over the columns of the matrix: `[a, b] [b, s]`.
    fn apply(&mut self, w: Var, x: Var) -> Var {
        let x = self.flat(x);
        let y = match self.form {
            KernelForm::Fused => self.matmul(w, x, false, false),
            KernelForm::Original => {
                let w = self.turn(w);
                self.in_rows(x, w)
            }
        };
        self.channels(y)
    }

    /// The product of the published kernels, with a row a token: `(x^T w)^T`.
    fn in_rows(&mut self, x: Var, w: Var) -> Var {
        let rows = self.turn(x);
        let y = self.matmul(rows, w, false, false); // [1, 1, s, in] x [1, 1, in, out]
        self.turn(y)
    }

    /// The two inner axes exchanged.
    pub fn turn(&mut self, x: Var) -> Var {
        self.b.transpose(x, &[0, 1, 3, 2])
    }

    /// A product, counted.
    pub fn matmul(&mut self, x: Var, y: Var, tx: bool, ty: bool) -> Var {
        let inner = self.extents(x)[if tx { 2 } else { 3 }];
        let out = self.b.matmul(x, y, tx, ty);
        self.flops += 2.0 * (self.extents(out).iter().product::<usize>() * inner) as f64;
        out
    }

    /// `y = W x` with `W` `[out, in, 1, 1]`, counted.
    pub fn conv(&mut self, x: Var, w: Var) -> Var {
        let inner = self.extents(w)[1];
        let out = self.b.conv(x, w);
        self.flops += 2.0 * (self.extents(out).iter().product::<usize>() * inner) as f64;
        out
    }

    /// Extents as four numbers; zeros where there is no value because of an error before.
    pub fn extents(&self, x: Var) -> [usize; 4] {
        self.b.ty(x).shape.as_slice().try_into().unwrap_or_default()
    }

    /// The kernel that returns `fields`, one after the other along the channels of the port `port`.
    pub fn finish(
        self,
        name: &'static str,
        port: &'static str,
        fields: &[(&'static str, Var)],
    ) -> Result<KernelSpec, BuildError> {
        self.finish_ports(name, &[(port, fields)])
    }

    /// The kernel that returns several ports.
    pub fn finish_ports(mut self, name: &'static str, ports: &[Output<'_>]) -> Result<KernelSpec, BuildError> {
        let (mut outputs, mut vars) = (Vec::new(), Vec::new());
        for &(port, fields) in ports {
            let named: Vec<_> = fields.iter().map(|&(name, v)| (name, self.extents(v)[1])).collect();
            let parts: Vec<Var> = fields.iter().map(|&(_, v)| v).collect();
            let var = if let [one] = parts[..] { one } else { self.b.concat(&parts, 1) };
            outputs.push(Packed::channels(port, self.extents(var)[3], &named));
            vars.push((var, port));
        }
        let program = self.b.finish(&vars)?;
        let inputs = self.inputs.into_iter().map(|(p, _)| p).collect();
        let (first, deeper): (Vec<_>, Vec<_>) = self.baked.into_iter().partition(|(_, _, layer, _)| *layer == 0);
        let baked = first.into_iter().map(|(path, what, ..)| (path, what)).collect();
        let deeper = deeper.into_iter().map(|(path, what, layer, _)| (path, what, layer)).collect();
        Ok(KernelSpec { name, program, inputs, outputs, baked, deeper, flops: self.flops })
    }
}

/// A port and the fields in it, each `[1, c, 1, s]`.
pub(super) type Output<'o> = (&'static str, &'o [(&'static str, Var)]);
