//! The rules between settings: one table, checked before any work. Ranges of single settings are in their readers.

use ane::{Pipeline, WeightForm};

use super::layers::{SUBJECT, plain};
use super::{
    DataOrder, Device, Every, LoraForm, Method, ObjectiveKind, OptimizerKind, Packing, Resolved, SETTINGS, Schedule, TrainConfig,
    ZoDistribution,
};
use crate::exit::usage;

/// A combination that has no meaning.
struct Rule {
    /// Whether the configuration breaks it.
    broken: fn(&Resolved) -> bool,
    /// What cannot be together, why, and what to do.
    message: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        broken: |r| {
            r.config.model_config.is_some() && r.is_typed("model-config") && r.is_typed("model") && r.config.model != "auto"
        },
        message: "--model-config gives the shape of a new model and cannot stand beside --model: leave one out",
    },
    Rule {
        broken: |r| r.config.optimizer == OptimizerKind::Adamw && r.is_typed("momentum"),
        message: "--momentum has no effect with --optimizer adamw: use --beta1, or --optimizer muon or sgd",
    },
    Rule {
        broken: |r| r.config.optimizer == OptimizerKind::Sgd && (r.is_typed("beta1") || r.is_typed("beta2")),
        message: "--beta1 and --beta2 have no effect with --optimizer sgd: use --momentum, or --optimizer adamw",
    },
    Rule {
        broken: |r| r.config.schedule == Schedule::Constant && r.is_typed("min-lr-ratio"),
        message: "--min-lr-ratio has no effect with --schedule constant: use cosine, wsd or linear",
    },
    Rule {
        broken: |r| r.config.val_fraction == 0.0 && r.is_typed("eval-every") && r.config.eval_every != Every::Never,
        message: "--eval-every has nothing to evaluate with --val-fraction 0",
    },
    Rule {
        broken: |r| r.config.val_fraction == 0.0 && r.is_typed("val-tokens"),
        message: "--val-tokens has no effect with --val-fraction 0",
    },
    Rule {
        broken: |r| r.config.early_stop.is_some() && (r.config.val_fraction == 0.0 || r.config.eval_every == Every::Never),
        message: "--early-stop needs evaluations: --val-fraction above 0 and --eval-every other than never",
    },
    Rule {
        broken: |r| r.config.packing == Packing::Documents && r.config.data_order == DataOrder::Sequential,
        message: "--data-order sequential reads window k at token k x seq-len, which --packing documents does not cut: leave one out",
    },
    Rule {
        broken: |r| !r.config.lora && LORA.iter().any(|key| r.is_typed(key)),
        message: "--lora-... say how an adapter is trained: add --lora",
    },
    Rule {
        broken: |r| !r.config.method.is_zeroth_order() && ZEROTH_ORDER.iter().any(|key| r.is_typed(key)),
        message: "--mezo-eps and --zo-... say how gradients are estimated from losses: add --method mezo or another of that kind",
    },
    Rule {
        broken: |r| !r.config.method.is_zeroth_order() && r.config.objective != ObjectiveKind::Loss,
        message: "--objective accuracy and exact-match have no derivative to go back through: add --method mezo, or another that needs losses alone",
    },
    Rule {
        broken: |r| of_another(r, Method::SparseMezo, &["zo-sparsity"]),
        message: "--zo-sparsity is of --method sparse-mezo: leave it out, or take that method",
    },
    Rule {
        broken: |r| of_another(r, Method::Hizoo, &["zo-hessian"]),
        message: "--zo-hessian is of --method hizoo: leave it out, or take that method",
    },
    Rule {
        broken: |r| of_others(r, &[Method::Lozo, Method::Pgap, Method::Agzo, Method::ZoMuon], &["zo-rank"]),
        message: "--zo-rank is of --method lozo, p-gap, agzo and zo-muon: leave it out, or take one of them",
    },
    Rule {
        broken: |r| of_others(r, &[Method::Lozo, Method::Pgap, Method::ZoMuon], &["zo-interval"]),
        message: "--zo-interval is of --method lozo, p-gap and zo-muon: leave it out, or take one of them",
    },
    Rule {
        broken: |r| of_another(r, Method::Pgap, &["zo-delta"]),
        message: "--zo-delta is of --method p-gap: leave it out, or take that method",
    },
    Rule {
        broken: |r| r.config.method != Method::Ff && r.is_typed("ff-corrupt"),
        message: "--ff-corrupt is of --method ff: leave it out, or take that method",
    },
    Rule {
        broken: |r| {
            let beside = r.config.lora && r.config.lora_form == LoraForm::Split && !r.config.lora_norms;
            r.config.method == Method::Ff && !beside
        },
        message: "--method ff judges the outputs of adapted matrices one by one: add --lora, in --lora-form split, without --lora-norms",
    },
    Rule {
        broken: |r| r.config.method == Method::Dszo && !(r.config.lora && r.config.lora_form == LoraForm::Split),
        message: "--method dszo credits the adapters of each block with a loss of its own: add --lora, in --lora-form split",
    },
    Rule {
        broken: |r| of_another(r, Method::Conmezo, &["zo-angle", "zo-momentum"]),
        message: "--zo-angle and --zo-momentum are of --method conmezo: leave them out, or take that method",
    },
    Rule {
        broken: |r| matches!(r.config.method, Method::Hizoo | Method::Conmezo) && r.config.zo_directions > 1,
        message: "--method hizoo and conmezo look along one direction a step: leave --zo-directions out",
    },
    Rule {
        broken: |r| r.config.method == Method::Fzoo && r.config.zo_directions < 2,
        message: "--method fzoo divides by the deviation of its losses, which one direction does not have: --zo-directions 2 or more",
    },
    Rule {
        broken: |r| {
            NORMAL.contains(&r.config.method)
                && r.is_typed("zo-distribution")
                && r.config.zo_distribution != ZoDistribution::Gaussian
        },
        message: "--method hizoo, lozo, p-gap, agzo and zo-muon are made of normals: --zo-distribution gaussian",
    },
    Rule {
        broken: |r| {
            let data = matches!(r.config.pipeline, Pipeline::Dynamic | Pipeline::DynamicCpuBwd | Pipeline::MatmulOnly);
            r.config.method.is_zeroth_order() && r.config.device != Device::Cpu && !r.config.lora && !data
        },
        message: "methods like mezo look at all weights beside themselves, which this pipeline would compile anew for each look: use \
                  --pipeline dynamic, dynamic-cpu-bwd or matmul-only, whose weights are data, or --device cpu, or --lora",
    },
    Rule {
        broken: |r| r.config.method != Method::Backprop && r.is_typed("recompute") && r.config.recompute,
        message: "--recompute saves memory of a backward pass, which methods like mezo do not make: leave it out",
    },
    Rule {
        broken: |r| r.config.lora && r.config.model_config.is_some(),
        message: "--lora adapts a model that is there, and --model-config begins a new one: name a model, or leave --lora out",
    },
    Rule {
        broken: |r| r.config.device == Device::Cpu && PIPELINE.iter().any(|key| r.is_typed(key)),
        message: "--pipeline and --ane-... say how the Neural Engine is used: add --device ane, or --device ane-sim",
    },
    Rule {
        broken: |r| r.config.device == Device::Ane && (r.is_typed("ane-chip") || r.is_typed("ane-numerics")),
        message: "--ane-chip and --ane-numerics are the simulator's: use --device ane-sim, or leave them out",
    },
    Rule {
        broken: |r| {
            let baked = matches!(r.config.pipeline, Pipeline::Conv | Pipeline::ConvFused);
            r.config.device != Device::Cpu && baked && !r.config.lora
        },
        message: "--pipeline conv and conv-fused bake a base that does not change into their programs: train an adapter (--lora), \
                  or use dynamic, static or matmul-only",
    },
    Rule {
        broken: |r| r.config.device != Device::Cpu && r.config.lora_form == LoraForm::Merged,
        message: "--lora-form merged changes the weights at each step, and a device keeps those of the base: use split, or \
                  --device cpu",
    },
    Rule {
        broken: |r| r.config.device != Device::Cpu && r.config.lora_form == LoraForm::Dora,
        message: "--lora-form dora gives rows of the weights new lengths, which a device does not apply: use split, or --device cpu",
    },
    Rule {
        broken: |r| {
            let baked_mask = r.config.device != Device::Cpu && r.config.pipeline != Pipeline::MatmulOnly;
            baked_mask && r.config.packing == Packing::Documents
        },
        message: "--packing documents needs a mask for each window, and this pipeline's attention has one for all: use \
                  --packing stream, or --pipeline matmul-only",
    },
    Rule {
        broken: |r| {
            let data = matches!(r.config.pipeline, Pipeline::Dynamic | Pipeline::DynamicCpuBwd | Pipeline::MatmulOnly);
            r.config.ane_weights == WeightForm::Parameters && !data
        },
        message: "--ane-weights parameters is for weights that are data: --pipeline dynamic, dynamic-cpu-bwd or matmul-only",
    },
    Rule {
        broken: |r| r.config.ane_layers > 1 && !matches!(r.config.pipeline, Pipeline::Static | Pipeline::StaticExtras),
        message: "--ane-layers above 1 is for weights in the programs: --pipeline static or static-extras",
    },
    Rule {
        broken: |r| r.config.ane_int8 && !matches!(r.config.pipeline, Pipeline::Conv | Pipeline::ConvFused),
        message: "--ane-int8 is for convolutions of a base that does not change: --pipeline conv or conv-fused",
    },
    Rule {
        broken: |r| step_tokens(&r.config).is_none(),
        message: "seq-len x batch-size x accumulate is more than one step can hold (2^31 tokens)",
    },
];

/// Settings of zeroth-order methods.
const ZEROTH_ORDER: [&str; 10] = [
    "mezo-eps",
    "zo-directions",
    "zo-distribution",
    "zo-sparsity",
    "zo-hessian",
    "zo-rank",
    "zo-interval",
    "zo-delta",
    "zo-angle",
    "zo-momentum",
];

/// Methods whose directions are made of normals.
const NORMAL: [Method; 5] = [Method::Hizoo, Method::Lozo, Method::Pgap, Method::Agzo, Method::ZoMuon];

/// Whether a setting of some methods was typed beside another.
fn of_others(r: &Resolved, methods: &[Method], keys: &[&str]) -> bool {
    r.config.method.is_zeroth_order() && !methods.contains(&r.config.method) && keys.iter().any(|key| r.is_typed(key))
}

fn of_another(r: &Resolved, method: Method, keys: &[&str]) -> bool {
    of_others(r, &[method], keys)
}

/// Settings of adapters.
const LORA: [&str; 6] = ["lora-rank", "lora-alpha", "lora-targets", "lora-form", "lora-rslora", "lora-norms"];

/// Settings that need a Neural Engine, or its simulator.
const PIPELINE: [&str; 8] =
    ["pipeline", "ane-kernels", "ane-weights", "ane-layers", "ane-int8", "ane-chip", "ane-numerics", "ane-probe"];

/// Settings beside [`SUBJECT`] that a run cannot change midway: its weights, moments or position in the data would lose their meaning.
const FIXED: &[&str] = &[
    "compact-vocab",
    "data-order",
    "packing",
    "val-fraction",
    "val-tokens",
    "residual-scale",
    "rope-theta",
    "norm-eps",
    "out",
    "seq-len",
    "optimizer",
    "method",
    "objective",
    "zo-distribution",
    "zo-sparsity",
    "zo-rank",
    "zo-interval",
    "zo-delta",
    "ff-corrupt",
    "lora",
    "lora-rank",
    "lora-alpha",
    "lora-targets",
    "lora-form",
    "lora-rslora",
    "lora-norms",
    "seed",
];

fn is_fixed(key: &str) -> bool {
    SUBJECT.contains(&key) || FIXED.contains(&key)
}

/// Tokens of one optimizer step.
fn step_tokens(config: &TrainConfig) -> Option<usize> {
    let windows = config.batch_size.checked_mul(config.accumulate)?;
    windows.checked_mul(config.seq_len).filter(|n| *n < 1 << 31)
}

/// Checks every rule.
///
/// # Errors
/// A usage error: the message of the first broken rule.
pub fn check(resolved: &Resolved) -> anyhow::Result<()> {
    if let Some(rule) = RULES.iter().find(|rule| (rule.broken)(resolved)) {
        return Err(usage(rule.message));
    }
    for setting in SETTINGS.iter().filter(|s| is_fixed(s.key) && resolved.is_explicit(s.key)) {
        let now = plain((setting.get)(&resolved.config));
        if let Some(before) = resolved.of_run(setting.key).filter(|before| *before != now) {
            let key = setting.key;
            return Err(usage(format!("--{key} {now} cannot change on --resume: the run has {before}; start a new run for it")));
        }
    }
    Ok(())
}
