//! What estimates gradients from losses.

use kernels::Cpu;
use kernels::direction::Distribution;
use model::{Layout, ModelSpec};
use train::ForwardForward;
use train::estimator::{Agzo, ConMezo, Dszo, Estimator, Fzoo, Hizoo, Line, Lozo, Mezo, Pgap, SparseMezo, ZoMuon};
use train::trainer::GradientSource;

use crate::config::{Device, LoraForm, Method, TrainConfig, ZoDistribution};

/// The estimator of a run for weights of `layout`, those of a model of `spec` or of its adapter; none: a backward pass does.
pub fn of(config: &TrainConfig, spec: &ModelSpec, layout: &Layout, cpu: &Cpu) -> Option<Box<dyn Estimator>> {
    let distribution = match config.zo_distribution {
        ZoDistribution::Gaussian => Distribution::Gaussian,
        ZoDistribution::Rademacher => Distribution::Rademacher,
    };
    let (seed, eps, directions) = (config.seed, config.mezo_eps, config.zo_directions);
    let line = Line { seed, eps, directions, distribution, isa: cpu.isa() };
    let n = layout.len();
    Some(match config.method {
        Method::Backprop | Method::Ff => return None,
        Method::Mezo => Box::new(Mezo::new(line)),
        Method::Fzoo => Box::new(Fzoo::new(line)),
        Method::SparseMezo => Box::new(SparseMezo::new(line, config.zo_sparsity, layout)),
        Method::Hizoo => Box::new(Hizoo::new(line, config.zo_hessian, n)),
        Method::Lozo => Box::new(Lozo::new(line, config.zo_rank, config.zo_interval, layout)),
        Method::Conmezo => Box::new(ConMezo::new(line, config.zo_angle, config.zo_momentum, n)),
        Method::Pgap => Box::new(Pgap::new(line, config.zo_rank, config.zo_interval, config.zo_delta, layout)),
        Method::Agzo => Box::new(Agzo::new(line, config.zo_rank, layout)),
        Method::ZoMuon => Box::new(ZoMuon::new(line, config.zo_rank, config.zo_interval, layout)),
        Method::Dszo => Box::new(Dszo::new(line, layout, spec.layers)),
    })
}

/// Where the gradients of a run come from; arguments as of [`of`].
pub fn source(config: &TrainConfig, spec: &ModelSpec, layout: &Layout, cpu: &Cpu) -> GradientSource<'static> {
    match of(config, spec, layout, cpu) {
        Some(estimator) => GradientSource::Losses(estimator),
        None if config.method == Method::Ff => {
            GradientSource::Forward(ForwardForward::new(config.seed, config.ff_corrupt, spec.vocab))
        }
        None => GradientSource::Backward,
    }
}

/// Numbers that it keeps for each weight.
pub fn arrays(config: &TrainConfig) -> usize {
    match config.method {
        Method::Hizoo | Method::Conmezo => 1,
        // both factors of its bases, and those of the direction
        Method::Pgap if config.lora => 4,
        _ => 0,
    }
}

/// Tokens of a pass beyond which more of them side by side make no token cheaper.
const SIDE_BY_SIDE: usize = 1024;

/// How often the rows of a batch stand in one pass: once for each point of as many probes as are measured together, where what
/// is trained lies beside a base that stays.
pub fn side_by_side(config: &TrainConfig) -> usize {
    let beside = config.lora && config.lora_form == LoraForm::Split && !config.lora_norms && config.device == Device::Cpu;
    if !beside || !config.method.is_zeroth_order() {
        return 1;
    }
    let probes = (SIDE_BY_SIDE / 2).checked_div(config.batch_size.saturating_mul(config.seq_len)).unwrap_or(1);
    2 * probes.clamp(1, config.zo_directions.max(1))
}
