//! A model as a BLZT checkpoint, with the moments of Adam or with zeros.

use std::path::Path;

use model::{Layout, ModelSpec, TensorId};

use super::header::{Header, bytes};
use super::{BLOCK, layer_floats};
use crate::error::FormatError;
use crate::llama2c::plain_block;
use crate::place;
use crate::rows::{Fill, VocabRows};
use crate::sequence::Output;
use crate::source::{Export, Source};

/// The moments of Adam in training.
pub struct Adam<'a> {
    /// Updates that they went through.
    pub t: u64,
    /// Means of the gradient.
    pub first: &'a Source<'a>,
    /// Means of its square.
    pub second: &'a Source<'a>,
    /// The sources hold a compact vocabulary: how to expand it. Moments of the other rows are zero.
    pub rows: Option<VocabRows<'a>>,
    /// The residual scale beside the weights of training, which is inside the written ones.
    pub residual_scale: f32,
}

/// What else is written.
#[derive(Default)]
pub struct WriteOptions<'a> {
    /// Steps done.
    pub step: u64,
    /// Steps planned.
    pub total_steps: u64,
    /// Last learning rate.
    pub learning_rate: f32,
    /// Last loss.
    pub loss: f32,
    /// The source holds a compact vocabulary: how to expand it.
    pub rows: Option<VocabRows<'a>>,
    /// Moments; zeros without.
    pub adam: Option<Adam<'a>>,
}

/// Writes the model `full` as a BLZT checkpoint and returns its size in bytes. A residual scale is folded into O and down, for
/// the file cannot say it.
///
/// # Errors
/// `Inexpressible` (65) when the format cannot say the model; `Create` (73); `Io` (74).
pub fn write(path: &Path, full: &ModelSpec, source: &Source, options: &WriteOptions) -> Result<u64, FormatError> {
    expressible(full)?;
    let weights = Export::new(full, source, options.rows)?;
    let zeros = vec![0.0; full.dim];
    // a weight that was multiplied by a has a gradient that is divided by a
    let scaled = |power| {
        let scale = options.adam.as_ref().map_or(1.0, |adam| adam.residual_scale).powi(power);
        ModelSpec { residual_scale: scale, ..full.clone() }
    };
    let specs = [scaled(-1), scaled(-2)];
    let moments = match &options.adam {
        Some(adam) => {
            let rows = adam.rows.map(|rows| VocabRows { fill: Fill::Row(&zeros), ..rows });
            Some([Export::new(&specs[0], adam.first, rows)?, Export::new(&specs[1], adam.second, rows)?])
        }
        None => None,
    };
    let mut written = 0;
    place::replace(path, &mut |path, file| {
        let mut out = Output::new(path, file);
        out.raw(&bytes(&header(full, options)))?;
        body(&mut out, full, &weights, moments.as_ref())?;
        written = out.finish()?;
        Ok(())
    })?;
    Ok(written)
}

fn header(full: &ModelSpec, options: &WriteOptions) -> Header {
    let word = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
    Header {
        spec: full.clone(),
        step: word(options.step),
        total_steps: word(options.total_steps),
        learning_rate: options.learning_rate,
        loss: options.loss,
        adam_t: options.adam.as_ref().map_or(0, |a| a.t),
    }
}

fn body(out: &mut Output, full: &ModelSpec, weights: &Export, moments: Option<&[Export; 2]>) -> Result<(), FormatError> {
    let layout = Layout::of(full);
    let put = |out: &mut Output, export: &Export, id| layout.get(id).map_or(Ok(()), |t| out.weight(export, full, t));
    for l in 0..full.layers {
        for part in BLOCK {
            put(out, weights, TensorId::Layer(l, part))?;
        }
        match moments {
            None => out.zeros(2 * layer_floats(full) as usize)?,
            Some(both) => {
                for (part, export) in BLOCK.into_iter().flat_map(|part| both.iter().map(move |e| (part, e))) {
                    put(out, export, TensorId::Layer(l, part))?;
                }
            }
        }
    }
    for (id, floats) in [(TensorId::FinalNorm, full.dim), (TensorId::Embed, full.vocab * full.dim)] {
        put(out, weights, id)?;
        match moments {
            None => out.zeros(2 * floats)?,
            Some(both) => both.iter().try_for_each(|export| put(out, export, id))?,
        }
    }
    Ok(())
}

fn expressible(full: &ModelSpec) -> Result<(), FormatError> {
    plain_block(full, "BLZT")?;
    if !full.tied {
        let why = "BLZT has no place for a classifier of its own; write hf or gguf";
        return Err(FormatError::inexpressible("tied", "false", why));
    }
    // the base of an unscaled rope can be given to whoever reads the file; a scaled one cannot
    if full.rope.scaling != model::RopeScaling::None {
        let why = "BLZT has no place for a scaled rope; write hf or gguf";
        return Err(FormatError::inexpressible("rope scaling", full.rope.scaling.to_string(), why));
    }
    Ok(())
}
