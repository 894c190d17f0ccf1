//! What static-extras adds: classifier, softmax over the vocabulary, final norm, and the backward pass of the norms.

use mil::BuildError;
use model::Part;

use super::graph::Graph;
use crate::{Baked, BlockShape, KernelSpec};

type Built = Result<KernelSpec, BuildError>;

/// `x` `[d, s]` to `logits` `[vocab, s]`.
pub fn classifier(shape: &BlockShape) -> Built {
    let mut g = Graph::reading(shape, &[("x", shape.dim)]);
    let (x, w) = (g.field("x"), g.baked(Baked::Classifier, &[shape.vocab, shape.dim, 1, 1]));
    let logits = g.conv(x, w);
    g.finish("classifier", "classifier_out", &[("logits", logits)])
}

/// `logits` `[vocab, s]` to `probs`, over the channels.
pub fn softmax(shape: &BlockShape) -> Built {
    let mut g = Graph::reading(shape, &[("logits", shape.vocab)]);
    let logits = g.field("logits");
    let probs = g.b.softmax(logits, 1);
    g.finish("softmax", "softmax_out", &[("probs", probs)])
}

/// `x` `[d, s]` to `xnorm`, by the norm before the classifier.
pub fn final_norm(shape: &BlockShape) -> Built {
    let mut g = Graph::reading(shape, &[("x", shape.dim)]);
    let x = g.field("x");
    let xnorm = g.rms_norm(x, Baked::FinalNorm);
    g.finish("final_norm", "final_norm_out", &[("xnorm", xnorm)])
}

/// Gradient `dy` of a normed stream and the stream `x` to `dx`, by way of the norm alone: the walk adds it to the stream's.
pub fn norm_bwd(shape: &BlockShape, part: Part) -> Built {
    let mut g = Graph::reading(shape, &[("dy", shape.dim), ("x", shape.dim)]);
    let (dy, x) = (g.field("dy"), g.field("x"));
    let dx = g.rms_norm_back(dy, x, Baked::Vector(part));
    let name = if part == Part::AttnNorm { "attn_norm_bwd" } else { "ffn_norm_bwd" };
    g.finish(name, "norm_bwd_out", &[("dx", dx)])
}
