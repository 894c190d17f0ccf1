//! A study as it was declared before its first run: `study.json` in its folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::race::Rules;
use crate::samplers::SamplerKind;
use crate::{Config, SearchError, Shape, Space};

/// Largest file that is read.
const LONGEST: u64 = 1 << 20;

/// Most seeds, looks and pairs.
const MOST_RUNS: usize = 1000;

/// What a trial is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Bits a byte of the validation text.
    ValBpb,
    /// Nats a token.
    ValLoss,
}

impl Objective {
    /// Its name: the field of a run's record.
    pub fn name(self) -> &'static str {
        ["val_bpb", "val_loss"][self as usize]
    }
}

/// What every run of a study spends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Training tokens.
    Tokens(u64),
    /// As many tokens as the baseline trains on in this many seconds: calibrated once, then the same for every run.
    Calibrated(f64),
    /// Seconds by the clock: runs are not repeatable, and noise of the machine is in their values.
    Clock(f64),
    /// What the arguments of `train` say.
    Given,
}

/// What runs of different configurations have the same of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Equal {
    /// Training tokens.
    #[default]
    Tokens,
    /// Arithmetic: as many FLOPs as the baseline's tokens take, so that a model twice as large trains on half of them.
    Flops,
}

/// A study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Its name, also in the journal.
    pub name: String,
    /// What is searched.
    pub space: Space,
    /// Where the search begins.
    pub baseline: Config,
    /// Shape of the model that shape parameters start from.
    pub shape: Option<Shape>,
    /// Hidden width within 128 of 2.75 dim, as in the original.
    pub proportion: bool,
    /// What is made small.
    pub objective: Objective,
    /// What a run spends.
    pub budget: Budget,
    /// What all runs have the same of, where the budget is in tokens.
    #[serde(default)]
    pub equal: Equal,
    /// When is what better.
    pub rules: Rules,
    /// Pairs of the final comparison.
    pub final_pairs: usize,
    /// Trials in all.
    pub trials: usize,
    /// Where trials come from.
    pub sampler: SamplerKind,
    /// Seed of the sampler.
    pub seed: u64,
    /// Processor seconds after which a run is stopped; none: from calibration.
    pub time_limit: Option<f64>,
    /// Most bytes that a run may be foreseen to take.
    pub max_memory: Option<u64>,
    /// Text of the locked test, opened once at the end.
    pub test_data: Option<String>,
    /// Branch that kept trials are committed to.
    pub branch: Option<String>,
    /// Arguments of `train`.
    pub train: Vec<String>,
}

impl Study {
    /// The study in folder `folder`.
    ///
    /// # Errors
    /// [`SearchError::Study`] with line and column; I/O.
    pub fn load(folder: &Path) -> Result<Study, SearchError> {
        let path = folder.join("study.json");
        let bytes = std::fs::metadata(&path).map_err(SearchError::io(&path))?.len();
        // what stands in the file is quoted: short, and nothing that a terminal would obey
        let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        let quoted = |why: String| why.chars().take(400).map(plain).collect();
        let bad = |line, column, why: String| SearchError::Study { path: path.clone(), line, column, why: quoted(why) };
        if bytes > LONGEST {
            return Err(bad(1, 1, format!("{bytes} bytes: expected a study of at most {LONGEST}")));
        }
        let text = std::fs::read(&path).map_err(SearchError::io(&path))?;
        let study: Study = serde_json::from_slice(&text).map_err(|e| bad(e.line(), e.column(), e.to_string()))?;
        study.check().map_err(|why| bad(1, 1, why))?;
        Ok(study)
    }

    /// Whether every number is one that a declaration could have had.
    /// Whether it is one that can be run, and opened again.
    ///
    /// # Errors
    /// What is out of range, in words.
    pub fn check(&self) -> Result<(), String> {
        self.space.check()?;
        let params = &self.space.params;
        if self.baseline.len() != params.len() {
            return Err("the baseline has another number of values than the space has parameters".into());
        }
        if let Some((p, v)) = params.iter().zip(&self.baseline).find(|(p, v)| !p.holds(**v)) {
            return Err(format!("baseline of {}: {v} is not of {}", p.name, p.describe()));
        }
        let positive = |v: f64| v > 0.0 && v <= 1e9;
        let (r, seconds) = (
            &self.rules,
            match self.budget {
                Budget::Calibrated(t) | Budget::Clock(t) => t,
                Budget::Tokens(_) | Budget::Given => 1.0,
            },
        );
        let sizes = self.shape.map_or([1; 6], |s| [s.dim, s.depth, s.heads, s.kv_heads, s.head_dim, s.hidden]);
        let all = [
            ("rules.alpha", r.alpha > 0.0 && r.alpha < 0.5),
            ("rules.min_effect", r.min_effect >= 0.0 && r.min_effect.is_finite()),
            ("rules.seeds", (1..=MOST_RUNS).contains(&r.seeds)),
            ("rules.looks", (1..=MOST_RUNS).contains(&r.looks)),
            ("rules.max_pairs", (2..=MOST_RUNS).contains(&r.max_pairs)),
            ("final_pairs", (2..=MOST_RUNS).contains(&self.final_pairs)),
            ("trials", self.trials >= 1),
            ("budget", positive(seconds)),
            ("time_limit", self.time_limit.is_none_or(positive)),
            ("shape", sizes.iter().all(|n| (1..=crate::shape::LARGEST).contains(n))),
        ];
        let wrong = all.iter().find(|(_, right)| !right);
        wrong.map_or(Ok(()), |(name, _)| Err(format!("{name}: not a value that `search new` would write")))
    }

    /// Writes it into `folder`, which it does not overwrite.
    ///
    /// # Errors
    /// I/O, also when there is one.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, SearchError> {
        use std::io::Write;
        let path = folder.join("study.json");
        std::fs::create_dir_all(folder).map_err(SearchError::io(folder))?;
        let text = serde_json::to_string_pretty(self).map_err(|e| SearchError::Value(e.to_string()))?;
        let mut file = std::fs::File::create_new(&path).map_err(SearchError::io(&path))?;
        file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(SearchError::io(&path))?;
        Ok(path)
    }

    /// Seed of pair `i` of the screening: the same for all trials.
    pub fn screening_seed(&self, i: usize) -> u64 {
        1 + i as u64
    }

    /// Seed of pair `i` of confirmation `attempt`: no other pair of the study has it.
    pub fn fresh_seed(&self, attempt: usize, i: usize) -> u64 {
        100_000 + attempt as u64 * 1_000 + i as u64
    }

    /// Seed of pair `i` of the final comparison.
    pub fn final_seed(&self, i: usize) -> u64 {
        50_000 + i as u64
    }

    /// `config` with its shape's constraints.
    pub fn settle(&self, config: Config) -> Config {
        match self.shape {
            Some(shape) => crate::shape::settle(&self.space, shape, config, self.proportion),
            None => config,
        }
    }
}
