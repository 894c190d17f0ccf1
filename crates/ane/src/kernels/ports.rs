//! Ports of the kernels whose weights are data, in both forms: one surface with the weights beside the activations, or a
//! surface for each. In the second every weight lies as the layout has it, so that the kernels of both passes read the same
//! surface; its ports are named and declared in the order of their sizes, which is also alphabetical: the orders in which one
//! device or another is known to bind them agree.

use model::Part;

use crate::{Baked, BlockShape, Packed, WeightForm};

/// Multiple that a surface's width must be of.
const WIDTH: usize = 32;

/// Ports by size, smallest first.
const NAMES: [&str; 4] = ["a_in", "b_in", "c_in", "d_in"];

/// Neighbouring matrices of a block as one: `[sum of rows, cols]`.
#[derive(Clone, Copy)]
pub(super) struct Stack {
    /// Field, matrix and rows.
    parts: [Option<(&'static str, Part, usize)>; 3],
    cols: usize,
}

/// How a matrix lies in the one surface of the packed form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// `[rows, cols]`, one matrix below the other.
    Upright,
    /// `[cols, rows]`, side by side.
    Turned,
}

/// A column of activations: fields and their channels.
pub(super) type Column<'c> = &'c [(&'static str, usize)];

impl Stack {
    /// Queries, keys and values.
    pub fn qkv(shape: &BlockShape) -> Stack {
        let (q, kv) = (shape.q_dim(), shape.kv_dim());
        let parts = [Some(("wq", Part::Q, q)), Some(("wk", Part::K, kv)), Some(("wv", Part::V, kv))];
        Stack { parts, cols: shape.dim }
    }

    /// Keys and values.
    pub fn kv(shape: &BlockShape) -> Stack {
        let kv = shape.kv_dim();
        Stack { parts: [Some(("wk", Part::K, kv)), Some(("wv", Part::V, kv)), None], cols: shape.dim }
    }

    /// Gate and up.
    pub fn gate_up(shape: &BlockShape) -> Stack {
        let parts = [Some(("w1", Part::Gate, shape.hidden)), Some(("w3", Part::Up, shape.hidden)), None];
        Stack { parts, cols: shape.dim }
    }

    /// A single matrix.
    pub fn one(shape: &BlockShape, part: Part) -> Stack {
        let (name, rows, cols) = matrix(shape, part);
        Stack { parts: [Some((name, part, rows)), None, None], cols }
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, Part, usize)> {
        self.parts.into_iter().flatten()
    }
}

/// Field, rows and columns of a matrix of the block.
pub(super) fn matrix(shape: &BlockShape, part: Part) -> (&'static str, usize, usize) {
    let (d, q, kv, ff) = (shape.dim, shape.q_dim(), shape.kv_dim(), shape.hidden);
    match part {
        Part::Q => ("wq", q, d),
        Part::K => ("wk", kv, d),
        Part::V => ("wv", kv, d),
        Part::O => ("wo", d, q),
        Part::Gate => ("w1", ff, d),
        Part::Up => ("w3", ff, d),
        Part::Down => ("w2", d, ff),
        // vectors; no kernel has them in a surface
        _ => ("vector", 1, d),
    }
}

/// The ports of a kernel that reads `activations` and `weights`.
pub(super) fn ports(shape: &BlockShape, form: WeightForm, activations: &[Column<'_>], weights: &[(Stack, Lie)]) -> Vec<Packed> {
    match form {
        WeightForm::Packed => vec![packed(shape, activations, weights)],
        WeightForm::Parameters => parameters(shape, activations, weights),
    }
}

fn packed(shape: &BlockShape, activations: &[Column<'_>], weights: &[(Stack, Lie)]) -> Packed {
    let mut columns: Vec<(usize, Vec<_>)> = activations.iter().map(|c| (shape.seq, c.to_vec())).collect();
    for (stack, lie) in weights {
        match lie {
            Lie::Upright => columns.push((stack.cols, stack.each().map(|(name, _, rows)| (name, rows)).collect())),
            Lie::Turned => columns.extend(stack.each().map(|(name, _, rows)| (rows, vec![(name, stack.cols)]))),
        }
    }
    let columns: Vec<(usize, Column<'_>)> = columns.iter().map(|(width, stack)| (*width, stack.as_slice())).collect();
    let mut packed = Packed::columns("x_in", &columns).padded(WIDTH);
    for (stack, lie) in weights {
        for (name, part, _) in stack.each() {
            packed = packed.holding(name, if *lie == Lie::Turned { Baked::Transposed(part) } else { Baked::Matrix(part) });
        }
    }
    packed
}

fn parameters(shape: &BlockShape, activations: &[Column<'_>], weights: &[(Stack, Lie)]) -> Vec<Packed> {
    let all: Vec<_> = activations.iter().flat_map(|c| c.iter().copied()).collect();
    let mut ports = vec![Packed::channels("x_in", shape.seq, &all)];
    for (stack, _) in weights {
        let fields: Vec<_> = stack.each().map(|(name, _, rows)| (name, rows)).collect();
        let mut port = Packed::columns("x_in", &[(stack.cols, &fields)]).padded(WIDTH);
        for (name, part, _) in stack.each() {
            port = port.holding(name, Baked::Matrix(part));
        }
        ports.push(port);
    }
    ports.sort_by_key(Packed::bytes);
    for (port, name) in ports.iter_mut().zip(NAMES) {
        port.port = name;
    }
    ports
}
