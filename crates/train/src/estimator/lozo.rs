//! LOZO (Chen et al., "Enhancing Zeroth-order Fine-tuning for Language Models with Low-rank Structures", arXiv 2410.07698):
//! MeZO along low-rank directions, one factor of which stays for many steps.
//!
//! ```text
//! Z = U V^T / sqrt(r)        U [out, r] new at each step, V [in, r] new at each nu steps, normal
//! ```
//!
//! The paper walks along `U V^T` and divides the update by `r`; here the direction has elements of variance 1, which is the
//! same with its eps times `sqrt(r)`. Over U and V the mean of the estimate is the gradient; while V stays, it is the gradient
//! projected by `V V^T / r`. Vectors move along normals. Nothing is kept: both factors are functions of seed and step.

use kernels::direction::{Distribution, Noise};
use model::Layout;

use super::lowrank::{LowRank, Places};
use super::mezo::{Central, Directions};
use super::{Line, direction_seed};

/// Directions of low rank, of which V stays for some steps.
pub struct Lazy {
    /// Steps that V stays for.
    interval: u64,
}

/// See the module.
pub type Lozo = Central<Lazy>;

impl Lozo {
    /// The estimator of `line` by directions of rank `rank` for weights of `layout`; V stays for `interval` steps.
    pub fn new(line: Line, rank: usize, interval: u64, layout: &Layout) -> Lozo {
        let places = Places::of(layout, |_| rank);
        let noise = Noise { seed: 0, distribution: Distribution::Gaussian, isa: line.isa };
        let low_rank = || LowRank::new(&places, 1.0 / (rank as f32).sqrt(), noise, true);
        Central::along(line, Lazy { interval: interval.max(1) }, low_rank)
    }
}

/// Sets the seeds of V apart from those of U.
const LAZY: u64 = 1 << 63;

impl Directions for Lazy {
    type Direction = LowRank;

    fn settle(&mut self, directions: &mut [LowRank], line: &Line, step: u64, _params: &[f32]) {
        let epoch = (step - 1) / self.interval;
        for (k, direction) in directions.iter_mut().enumerate() {
            direction.noise.seed = direction_seed(line.seed, LAZY | epoch, k);
            direction.noise.fill(0, &mut direction.v);
            direction.noise.seed = direction_seed(line.seed, step, k);
            direction.noise.fill(0, &mut direction.u);
            // another stream for vectors
            direction.noise.seed ^= LAZY;
        }
    }
}
