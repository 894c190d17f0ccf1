//! Parts that are broken on purpose: what checks cannot find is not checked.

use engine::blocks::{Blocks, Context, FfnBackward, NormAt, NormBackward, ffn_back_on_cpu, norm_back_on_cpu};
use engine::{Batch, Params};

/// What is broken: a wrong implementation that a check is given in place of the program's. Where a defect was published it is
/// that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// The backward pass of RMSNorm has the gain once more than it should: published.
    NormBackward,
    /// The feed-forward part passes its gradient on a thousandth too large.
    FfnBackward,
    /// The classifier's logits are off by a thousandth of themselves.
    Classifier,
    /// Rotations turn by another base than the model was made with: published.
    Theta,
    /// A checkpoint gives back the weights and forgets the optimizer.
    Resume,
    /// Numbers lose what bfloat16 cannot hold.
    Rounded,
    /// The logarithm of a probability is guarded by 1e-10: published.
    Guard,
    /// Rotations take neighbours for pairs, not the halves of a head: published.
    Pairs,
    /// Noise begins anew with each piece.
    Pieces,
    /// What threads compute is averaged and multiplied by their number.
    Threads,
    /// An adapter counts in the weights and beside them: published.
    Twice,
    /// A new adapter begins with a second half that is not 0.
    Warm,
    /// Weight decay goes through the moments.
    Coupled,
    /// Moments are not corrected for their start at 0.
    Uncorrected,
    /// A schedule anneals over a horizon that the budget never reaches: published.
    Horizon,
    /// A checkpoint is read without its manifest.
    Manifest,
    /// A save writes where the checkpoint will stand.
    InPlace,
    /// Stories do not depend on their seed.
    Seedless,
    /// A tokenizer makes one space of many.
    Spaces,
    /// Targets are the tokens themselves.
    Unshifted,
    /// Tokens are read up to where they make no sense: published.
    Unbounded,
    /// What a file lacks is read as zeros: published.
    Padded,
    /// A program is printed with another type than it has.
    Printed,
    /// A kernel's outputs are twice what they should be.
    Doubled,
    /// A device's residual connections have a factor of 1, whatever the model's: published.
    Residual,
    /// Nobody looks at what an evaluation returns: published.
    Unheard,
    /// A difference of two losses is divided by half of their distance.
    Slope,
    /// Differences are not divided by their deviation: published.
    Undivided,
    /// Directions do not know the curvature.
    Flat,
    /// Weights are moved to be looked at, and moved back.
    Restored,
}

impl Tamper {
    /// Every one with its name.
    pub const ALL: [(&'static str, Tamper); 30] = [
        ("norm-backward", Tamper::NormBackward),
        ("ffn-backward", Tamper::FfnBackward),
        ("classifier", Tamper::Classifier),
        ("theta", Tamper::Theta),
        ("resume", Tamper::Resume),
        ("rounded", Tamper::Rounded),
        ("guard", Tamper::Guard),
        ("pairs", Tamper::Pairs),
        ("pieces", Tamper::Pieces),
        ("threads", Tamper::Threads),
        ("twice", Tamper::Twice),
        ("warm", Tamper::Warm),
        ("coupled", Tamper::Coupled),
        ("uncorrected", Tamper::Uncorrected),
        ("horizon", Tamper::Horizon),
        ("manifest", Tamper::Manifest),
        ("in-place", Tamper::InPlace),
        ("seedless", Tamper::Seedless),
        ("spaces", Tamper::Spaces),
        ("unshifted", Tamper::Unshifted),
        ("unbounded", Tamper::Unbounded),
        ("padded", Tamper::Padded),
        ("printed", Tamper::Printed),
        ("doubled", Tamper::Doubled),
        ("residual", Tamper::Residual),
        ("unheard", Tamper::Unheard),
        ("slope", Tamper::Slope),
        ("undivided", Tamper::Undivided),
        ("flat", Tamper::Flat),
        ("restored", Tamper::Restored),
    ];

    /// The part called `name`.
    pub fn parse(name: &str) -> Option<Tamper> {
        Tamper::ALL.iter().find(|(n, _)| *n == name).map(|(_, tamper)| *tamper)
    }
}

/// What bfloat16 keeps of `values`.
pub fn rounded(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = f32::from_bits(v.to_bits() & 0xffff_0000));
}

/// Elements of each row of `width` reordered: `[a b c d]` to `[a c b d]` and back, which is where neighbours and halves are pairs.
pub fn interleaved(values: &mut [f32], width: usize, back: bool) {
    for row in values.chunks_exact_mut(width) {
        let before = row.to_vec();
        for i in 0..width / 2 {
            for half in 0..2 {
                let (apart, beside) = (i + half * width / 2, 2 * i + half);
                let (to, from) = if back { (beside, apart) } else { (apart, beside) };
                row[to] = before[from];
            }
        }
    }
}

/// Blocks on the CPU, one of which may be broken.
#[derive(Clone, Copy, Debug)]
pub struct Tampered(pub Option<Tamper>);

impl Blocks for Tampered {
    fn norm_back(&mut self, at: &Context<'_>, params: Params<'_>, which: NormAt, io: NormBackward<'_>) {
        if self.0 != Some(Tamper::NormBackward) {
            return norm_back_on_cpu(at, params, which, io);
        }
        let gain = at.gain(params, which).to_vec();
        let before = io.dx.to_vec();
        let NormBackward { dx, dgain, dnorm, x, r, partial, accumulate } = io;
        norm_back_on_cpu(at, params, which, NormBackward { dx, dgain, dnorm, x, r, partial, accumulate });
        for (i, (dx, before)) in dx.iter_mut().zip(before).enumerate() {
            *dx = before + (*dx - before) * gain[i % gain.len()];
        }
    }

    fn ffn_back(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, io: FfnBackward<'_>) {
        let FfnBackward { dout, gate_up, dact, dnorm } = io;
        ffn_back_on_cpu(self, at, params, l, FfnBackward { dout, gate_up, dact, dnorm });
        if self.0 == Some(Tamper::FfnBackward) {
            dnorm.iter_mut().for_each(|d| *d *= 1.001);
        }
    }

    fn classify(&mut self, at: &Context<'_>, params: Params<'_>, x: &[f32], logits: &mut [f32]) {
        engine::blocks::classify_on_cpu(at, params, x, logits);
        if self.0 == Some(Tamper::Classifier) {
            logits.iter_mut().for_each(|z| *z *= 1.001);
        }
    }
}

/// Windows of `batch` as one batch each.
pub fn windows<'b>(batch: &'b Batch<'b>) -> impl Iterator<Item = &'b [u32]> + 'b {
    batch.inputs.chunks(batch.seq)
}
