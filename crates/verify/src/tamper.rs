//! Parts that are broken on purpose: what checks cannot find is not checked.

use engine::blocks::{Blocks, Context, FfnBackward, NormAt, NormBackward, ffn_back_on_cpu, norm_back_on_cpu};
use engine::{Batch, Params};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// The backward pass of RMSNorm has the gain once more than it should: a defect that was published.
    NormBackward,
    /// The feed-forward part passes its gradient on a thousandth too large.
    FfnBackward,
    /// The classifier's logits are off by a thousandth of themselves.
    Classifier,
    /// Rotations turn by another base than the model was made with: a defect that was published.
    Theta,
    /// A checkpoint gives back the weights and forgets the optimizer.
    Resume,
}

impl Tamper {
    /// Every name.
    pub const NAMES: [&'static str; 5] = ["norm-backward", "ffn-backward", "classifier", "theta", "resume"];

    /// The part called `name`.
    pub fn parse(name: &str) -> Option<Tamper> {
        let all = [Tamper::NormBackward, Tamper::FfnBackward, Tamper::Classifier, Tamper::Theta, Tamper::Resume];
        Tamper::NAMES.iter().position(|n| *n == name).map(|i| all[i])
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
