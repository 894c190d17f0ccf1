//! How weights change in a run: its update rule and its learning rate.

use train::optimizer::{AdamWConfig, OptimizerConfig};
use train::schedule::{self, Schedule};

use crate::config::{self, OptimizerKind, TrainConfig, Warmup};

/// Update rule of a run.
pub fn optimizer(config: &TrainConfig) -> OptimizerConfig {
    let adam = AdamWConfig { beta1: f64::from(config.beta1), beta2: f64::from(config.beta2), eps: 1e-8 };
    let momentum = f64::from(config.momentum);
    match config.optimizer {
        OptimizerKind::Adamw => OptimizerConfig::AdamW(adam),
        OptimizerKind::Muon => OptimizerConfig::Muon { momentum, ns_steps: 5, nesterov: true, adam },
        OptimizerKind::Sgd => OptimizerConfig::Sgd { momentum },
    }
}

/// Learning rate of a run.
pub fn schedule(config: &TrainConfig) -> Schedule {
    Schedule {
        peak: config.learning_rate,
        shape: match config.schedule {
            config::Schedule::Cosine => schedule::Shape::Cosine,
            config::Schedule::Wsd => schedule::Shape::Wsd(schedule::Cooldown::OneMinusSqrt),
            config::Schedule::Linear => schedule::Shape::Linear,
            config::Schedule::Constant => schedule::Shape::Constant,
        },
        warmup: match config.warmup {
            Warmup::Steps(n) => schedule::Warmup::Steps(n),
            Warmup::Time(t) => schedule::Warmup::Time(t),
            Warmup::Percent(p) => schedule::Warmup::Fraction(p / 100.0),
        },
        min_lr_ratio: f64::from(config.min_lr_ratio),
    }
}
