//! Optimizers: AdamW, Muon (with AdamW for what is not a hidden matrix) and SGD, over the flat parameter array.
//!
//! All of them decay weights the decoupled way, `w *= 1 - lr * weight_decay`, and only where [`Role::decays`] says so.
//! State arrays are sized by what is needed, nothing is allocated in a step, and the bits do not depend on threads.
//! Weights that are idle (rows of ids that never occur, which no gradient reaches) have no state and do not decay.

mod adamw;
mod muon;
mod plan;
mod sgd;

use std::ops::Range;

use kernels::gemm::Cpu;
use model::{Layout, Role, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::Gradient;
pub(crate) use muon::NEWTON_SCHULZ;
use plan::Plan;

/// Constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

impl Default for AdamWConfig {
    fn default() -> AdamWConfig {
        AdamWConfig { beta1: 0.9, beta2: 0.95, eps: 1e-8 }
    }
}

/// Which optimizer, with its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// AdamW on every weight.
    AdamW(AdamWConfig),
    /// Muon on the matrices of the blocks.
    Muon {
        /// Decay of the momentum.
        momentum: f64,
        /// Newton-Schulz steps.
        ns_steps: u32,
        /// Look ahead by one momentum step.
        nesterov: bool,
        /// For embedding, classifier, norms and biases.
        adam: AdamWConfig,
    },
    /// Plain gradient descent.
    Sgd {
        /// Heavy-ball momentum; 0 keeps no state.
        momentum: f64,
    },
}

impl OptimizerConfig {
    /// Muon with the constants of its authors.
    pub fn muon() -> OptimizerConfig {
        OptimizerConfig::Muon { momentum: 0.95, ns_steps: 5, nesterov: true, adam: AdamWConfig::default() }
    }

    /// Parameter-sized arrays that it keeps at most, for the memory model; [`OptimizerConfig::bytes`] is exact.
    pub fn moments(&self) -> usize {
        match self {
            OptimizerConfig::AdamW(_) | OptimizerConfig::Muon { .. } => 2,
            OptimizerConfig::Sgd { momentum } => usize::from(*momentum != 0.0),
        }
    }

    /// Bytes that it allocates for a model: state and scratch.
    pub fn bytes(&self, layout: &Layout) -> usize {
        let floats = match self {
            OptimizerConfig::Muon { .. } => {
                let hidden: usize = layout.tensors().iter().filter(|t| takes_muon(t)).map(|t| t.range.len()).sum();
                hidden + 2 * (layout.len() - hidden) + muon::scratch(layout)
            }
            _ => self.moments() * layout.len(),
        };
        4 * floats
    }
}

/// Hidden matrices: what Muon is for.
fn takes_muon(tensor: &TensorInfo) -> bool {
    matches!(tensor.role, Role::Matrix | Role::Output)
}

/// What a step hands to every rule: learning rate and decay factor in f64, and the number of the step.
#[derive(Clone, Copy)]
struct Rates {
    lr: f64,
    weight_decay: f64,
    t: u64,
}

impl Rates {
    /// Factor on a weight before its update.
    fn keep(&self, decays: bool) -> f32 {
        if decays { (1.0 - self.lr * self.weight_decay) as f32 } else { 1.0 }
    }
}

/// Elements of a task: four arrays of a chunk fit the second-level cache.
const CHUNK: usize = 16_384;

enum Rule {
    AdamW(adamw::AdamW),
    Muon(muon::Muon, adamw::AdamW),
    Sgd(sgd::Sgd),
}

/// An optimizer and its state.
pub struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    t: u64,
}

impl Optimizer {
    /// An optimizer with zero state for weights that lie as `layout` says.
    pub fn new(config: OptimizerConfig, layout: &Layout, weight_decay: f32) -> Optimizer {
        Optimizer::sparing(config, layout, weight_decay, &[])
    }

    /// As [`Optimizer::new`]; the weights in `idle`, increasing ranges of embedding rows, are never touched.
    pub fn sparing(config: OptimizerConfig, layout: &Layout, weight_decay: f32, idle: &[Range<usize>]) -> Optimizer {
        let all = layout.tensors().iter();
        let rule = match config {
            OptimizerConfig::AdamW(c) => Rule::AdamW(adamw::AdamW::new(c, Plan::of(all, idle, 2))),
            OptimizerConfig::Muon { momentum, ns_steps, nesterov, adam } => Rule::Muon(
                muon::Muon::new(momentum, ns_steps, nesterov, layout),
                adamw::AdamW::new(adam, Plan::of(all.filter(|t| !takes_muon(t)), idle, 2)),
            ),
            OptimizerConfig::Sgd { momentum } => {
                Rule::Sgd(sgd::Sgd::new(momentum, Plan::of(all, idle, usize::from(momentum != 0.0))))
            }
        };
        Optimizer { rule, weight_decay: f64::from(weight_decay), t: 0 }
    }

    /// Updates `params` (as long as the layout) with `gradient` at learning rate `lr`.
    ///
    /// # Panics
    /// When `params` or a dense gradient is shorter than the layout.
    pub fn step(&mut self, cpu: &Cpu, params: &mut [f32], gradient: &Gradient, lr: f32) {
        self.t += 1;
        let rates = Rates { lr: f64::from(lr), weight_decay: self.weight_decay, t: self.t };
        match &mut self.rule {
            Rule::AdamW(adamw) => adamw.step(cpu, params, gradient, rates),
            Rule::Muon(muon, adamw) => {
                muon.step(cpu, params, gradient, rates);
                adamw.step(cpu, params, gradient, rates);
            }
            Rule::Sgd(sgd) => sgd.step(cpu, params, gradient, rates),
        }
    }

    /// Updates made so far: part of the state, beside the arrays.
    pub fn t(&self) -> u64 {
        self.t
    }

    /// Bytes of the arrays that [`Optimizer::visit_state`] shows.
    pub fn state_len_bytes(&self) -> usize {
        let mut floats = 0;
        self.visit_state(|_, values| floats += values.len());
        4 * floats
    }

    /// Shows every state array with its name, always in the same order.
    pub fn visit_state(&self, mut f: impl FnMut(&str, &[f32])) {
        match &self.rule {
            Rule::AdamW(adamw) => adamw.visit(&mut f),
            Rule::Muon(muon, adamw) => {
                muon.visit(&mut f);
                adamw.visit(&mut f);
            }
            Rule::Sgd(sgd) => sgd.visit(&mut f),
        }
    }

    /// Restores the state: `load` fills each named array. After an error the state is not to be used.
    pub fn load_state<E>(&mut self, t: u64, mut load: impl FnMut(&str, &mut [f32]) -> Result<(), E>) -> Result<(), E> {
        self.t = t;
        match &mut self.rule {
            Rule::AdamW(adamw) => adamw.visit_mut(&mut load),
            Rule::Muon(muon, adamw) => {
                muon.visit_mut(&mut load)?;
                adamw.visit_mut(&mut load)
            }
            Rule::Sgd(sgd) => sgd.visit_mut(&mut load),
        }
    }
}

#[cfg(test)]
mod tests;
