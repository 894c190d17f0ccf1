//! What estimates gradients from losses.

use kernels::Cpu;
use kernels::direction::Distribution;
use model::Layout;
use train::estimator::{ConMezo, Estimator, Fzoo, Hizoo, Line, Lozo, Mezo, SparseMezo};

use crate::config::{Method, TrainConfig, ZoDistribution};

/// The estimator of a run for weights of `layout`; none: a backward pass does.
pub fn of(config: &TrainConfig, layout: &Layout, cpu: &Cpu) -> Option<Box<dyn Estimator>> {
    let distribution = match config.zo_distribution {
        ZoDistribution::Gaussian => Distribution::Gaussian,
        ZoDistribution::Rademacher => Distribution::Rademacher,
    };
    let (seed, eps, directions) = (config.seed, config.mezo_eps, config.zo_directions);
    let line = Line { seed, eps, directions, distribution, isa: cpu.isa() };
    let n = layout.len();
    Some(match config.method {
        Method::Backprop => return None,
        Method::Mezo => Box::new(Mezo::new(line)),
        Method::Fzoo => Box::new(Fzoo::new(line)),
        Method::SparseMezo => Box::new(SparseMezo::new(line, config.zo_sparsity, layout)),
        Method::Hizoo => Box::new(Hizoo::new(line, config.zo_hessian, n)),
        Method::Lozo => Box::new(Lozo::new(line, config.zo_rank, config.zo_interval, layout)),
        Method::Conmezo => Box::new(ConMezo::new(line, config.zo_angle, config.zo_momentum, n)),
    })
}

/// Numbers that it keeps for each weight.
pub fn arrays(config: &TrainConfig) -> usize {
    usize::from(matches!(config.method, Method::Hizoo | Method::Conmezo))
}
