//! What is searched: named parameters with ranges. A configuration holds, in their order, the value of a number or the index
//! of a choice, as Optuna's journal does; samplers see the unit cube.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::{Rng, SearchError};

/// Values of a space's parameters, in their order; a choice is its index.
pub type Config = Vec<f64>;

/// The values that a parameter takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    /// A real number.
    Float {
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
        /// Uniform in the logarithm.
        log: bool,
    },
    /// A whole number: low, low + step, ..., high.
    Int {
        /// Least value.
        low: i64,
        /// Greatest value.
        high: i64,
        /// Distance of neighbours.
        step: i64,
        /// Uniform in the logarithm; then the step is 1.
        log: bool,
    },
    /// One of these words.
    Choice(Vec<String>),
}

/// A parameter: the name of the flag that it sets, and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Name of the flag, without dashes.
    pub name: String,
    /// Its values.
    pub range: Range,
}

impl Param {
    /// Reads `NAME=LOW..HIGH[:log|:STEP]` or `NAME=a|b|c`.
    ///
    /// # Errors
    /// [`SearchError::Param`] for anything else, and for empty ranges.
    pub fn parse(text: &str) -> Result<Param, SearchError> {
        let error = |why: &str| SearchError::Param { text: text.to_owned(), why: why.to_owned() };
        let (name, values) = text.split_once('=').ok_or_else(|| error("no `=`"))?;
        let name = name.trim().trim_start_matches("--").replace('_', "-");
        if name.is_empty() {
            return Err(error("no name"));
        }
        let range = match values.split_once("..") {
            Some((low, rest)) => {
                let (high, how) = rest.split_once(':').unwrap_or((rest, ""));
                numeric(low.trim(), high.trim(), how.trim()).map_err(|why| error(&why))?
            }
            None => {
                let choices: Vec<String> = values.split('|').map(|c| c.trim().to_owned()).collect();
                if choices.iter().any(String::is_empty) || twice(&choices).is_some() {
                    return Err(error("an empty or repeated choice"));
                }
                Range::Choice(choices)
            }
        };
        Ok(Param { name, range })
    }

    /// Whether the range has the value, or the index of a choice.
    pub fn holds(&self, value: f64) -> bool {
        value.is_finite() && (self.nearest(value) - value).abs() <= 1e-12 * value.abs()
    }

    /// Whether the range is one that [`Param::parse`] could have given.
    fn check(&self) -> Result<(), String> {
        let right = match &self.range {
            Range::Float { low, high, log } => low.is_finite() && high.is_finite() && low <= high && (!log || *low > 0.0),
            Range::Int { low, high, step, log } => {
                let whole = |v: &i64| v.unsigned_abs() < 1 << 53;
                whole(low) && whole(high) && whole(step) && low <= high && *step >= 1 && (!log || *low >= 1)
            }
            Range::Choice(choices) => !(choices.is_empty() || choices.iter().any(String::is_empty) || twice(choices).is_some()),
        };
        if right && !self.name.is_empty() { Ok(()) } else { Err(format!("parameter `{}`: no name or an empty range", self.name)) }
    }

    /// Number of values; none for a real range.
    pub fn count(&self) -> Option<usize> {
        match &self.range {
            Range::Float { low, high, .. } => (low == high).then_some(1),
            Range::Int { low, high, step, .. } => usize::try_from((high - low) / step + 1).ok(),
            Range::Choice(choices) => Some(choices.len()),
        }
    }

    /// The value at `u` in [0, 1]; whole numbers and choices have equal shares.
    pub fn at(&self, u: f64) -> f64 {
        let u = if u.is_finite() { u.clamp(0.0, 1.0) } else { 0.5 };
        let value = match &self.range {
            Range::Float { low, high, log: true } => (low.ln() + u * (high.ln() - low.ln())).exp(),
            Range::Float { low, high, .. } => low + u * (high - low),
            Range::Int { low, high, log: true, .. } => {
                let (a, b) = ((*low as f64 - 0.5).ln(), (*high as f64 + 0.5).ln());
                (a + u * (b - a)).exp().round()
            }
            Range::Int { low, step, .. } => {
                let n = self.count().unwrap_or(1) as f64;
                *low as f64 + (u * n).floor().min(n - 1.0) * *step as f64
            }
            Range::Choice(choices) => (u * choices.len() as f64).floor().min(choices.len() as f64 - 1.0),
        };
        self.nearest(value)
    }

    /// Where `value` lies in [0, 1]: the middle of its share.
    pub fn unit(&self, value: f64) -> f64 {
        let share = |v: f64, a: f64, b: f64| if b > a { ((v - a) / (b - a)).clamp(0.0, 1.0) } else { 0.5 };
        match &self.range {
            Range::Float { low, high, log: true } => share(value.ln(), low.ln(), high.ln()),
            Range::Float { low, high, .. } => share(value, *low, *high),
            Range::Int { low, high, log: true, .. } => share(value.ln(), (*low as f64 - 0.5).ln(), (*high as f64 + 0.5).ln()),
            Range::Int { low, step, .. } => {
                let n = self.count().unwrap_or(1) as f64;
                ((value - *low as f64) / *step as f64 + 0.5) / n
            }
            Range::Choice(choices) => (value + 0.5) / choices.len() as f64,
        }
    }

    /// The value of the range that is nearest to `value`.
    pub fn nearest(&self, value: f64) -> f64 {
        match &self.range {
            Range::Float { low, high, .. } => value.clamp(*low, *high),
            Range::Int { low, high, step, .. } => {
                let steps = ((value - *low as f64) / *step as f64).round();
                (*low as f64 + steps * *step as f64).clamp(*low as f64, *high as f64)
            }
            Range::Choice(choices) => value.round().clamp(0.0, choices.len() as f64 - 1.0),
        }
    }

    /// The text of `value` on a command line: reading it back gives the same number.
    pub fn text(&self, value: f64) -> String {
        match &self.range {
            Range::Float { .. } => format!("{value}"),
            Range::Int { .. } => format!("{value:.0}"),
            Range::Choice(choices) => choices.get(value as usize).cloned().unwrap_or_default(),
        }
    }

    /// The value as a number or a word.
    pub fn json(&self, value: f64) -> Json {
        match &self.range {
            Range::Float { .. } => json!(value),
            Range::Int { .. } => json!(value as i64),
            Range::Choice(_) => json!(self.text(value)),
        }
    }

    /// Reads the text of a value.
    ///
    /// # Errors
    /// [`SearchError::Value`] for what is no value of the range.
    pub fn read(&self, text: &str) -> Result<f64, SearchError> {
        let found = match &self.range {
            Range::Choice(choices) => choices.iter().position(|c| c == text).map(|i| i as f64),
            _ => text.parse::<f64>().ok().filter(|v| self.holds(*v)),
        };
        found.ok_or_else(|| SearchError::Value(format!("{}={text}: expected {}", self.name, self.describe())))
    }

    /// The range in words.
    pub fn describe(&self) -> String {
        match &self.range {
            Range::Float { low, high, log } => format!("{low}..{high}{}", if *log { ":log" } else { "" }),
            Range::Int { low, high, log: true, .. } => format!("{low}..{high}:log"),
            Range::Int { low, high, step: 1, .. } => format!("{low}..{high}"),
            Range::Int { low, high, step, .. } => format!("{low}..{high}:{step}"),
            Range::Choice(choices) => choices.join("|"),
        }
    }

    /// Optuna's name for the range, as the text of a JSON object.
    pub fn distribution(&self) -> String {
        let (name, attributes) = match &self.range {
            Range::Float { low, high, log } => {
                ("FloatDistribution", json!({ "step": null, "low": low, "high": high, "log": log }))
            }
            Range::Int { low, high, step, log } => {
                ("IntDistribution", json!({ "log": log, "step": step, "low": low, "high": high }))
            }
            Range::Choice(choices) => ("CategoricalDistribution", json!({ "choices": choices })),
        };
        json!({ "name": name, "attributes": attributes }).to_string()
    }
}

/// Most parameters of a space: no search of more would end.
const MOST_PARAMS: usize = 100;

/// A word that stands there more than once.
fn twice(words: &[String]) -> Option<&str> {
    let mut sorted: Vec<&str> = words.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn numeric(low: &str, high: &str, how: &str) -> Result<Range, String> {
    let log = how == "log";
    let bounded = |v: i64| (v.unsigned_abs() < 1 << 53).then_some(v);
    let whole = low.parse().ok().and_then(bounded).zip(high.parse().ok().and_then(bounded));
    let step = if how.is_empty() || log { None } else { Some(how.parse::<i64>().map_err(|_| format!("`{how}` is no step"))?) };
    if let Some((low, high)) = whole {
        let step = step.unwrap_or(1);
        if high < low || step < 1 || (log && low < 1) {
            return Err("an empty range, or a logarithm of a range that does not begin above 0".into());
        }
        return Ok(Range::Int { low, high: high - (high - low) % step, step, log });
    }
    if step.is_some() {
        return Err("a step needs whole numbers".into());
    }
    let number = |t: &str| t.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| format!("`{t}` is no number"));
    let (low, high) = (number(low)?, number(high)?);
    if high < low || (log && low <= 0.0) {
        return Err("an empty range, or a logarithm of 0".into());
    }
    Ok(Range::Float { low, high, log })
}

/// Parameters with ranges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// In the order of a configuration.
    pub params: Vec<Param>,
}

impl Space {
    /// The ranges of the original's search.
    pub fn original() -> Space {
        let texts = [
            "seq-len=64|128|256|512",
            "learning-rate=1e-4..1e-3:log",
            "accumulate=5..20",
            "warmup=25..200",
            "weight-decay=0.01..0.3:log",
            "beta2=0.9..0.999",
            "depth=2..8",
            "dim=256..768:64",
            "hidden=704..2048:64",
        ];
        Space { params: texts.iter().filter_map(|t| Param::parse(t).ok()).collect() }
    }

    /// The original's grid of learning rates.
    pub fn original_learning_rates() -> Space {
        let texts = ["dim=512|768|1024", "learning-rate=1e-4|3e-4|5e-4|1e-3|2e-3"];
        Space { params: texts.iter().filter_map(|t| Param::parse(t).ok()).collect() }
    }

    /// The original's grid of widths and depths.
    pub fn original_shapes() -> Space {
        let texts = ["dim=512|768|1024|1536", "depth=2|4|6|8"];
        Space { params: texts.iter().filter_map(|t| Param::parse(t).ok()).collect() }
    }

    /// Whether every parameter is one that could have been declared, once.
    ///
    /// # Errors
    /// What is wrong with the first that is not.
    pub fn check(&self) -> Result<(), String> {
        if self.params.len() > MOST_PARAMS {
            return Err(format!("{} parameters: at most {MOST_PARAMS} are searched", self.params.len()));
        }
        self.params.iter().try_for_each(Param::check)?;
        let names: Vec<String> = self.params.iter().map(|p| p.name.clone()).collect();
        twice(&names).map_or(Ok(()), |name| Err(format!("parameter `{name}` stands there twice")))
    }

    /// Position of the parameter called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|p| p.name == name)
    }

    /// A configuration from the unit cube.
    pub fn at(&self, unit: &[f64]) -> Config {
        self.params.iter().zip(unit).map(|(p, &u)| p.at(u)).collect()
    }

    /// A configuration's place in the unit cube.
    pub fn unit(&self, config: &[f64]) -> Vec<f64> {
        self.params.iter().zip(config).map(|(p, &v)| p.unit(v)).collect()
    }

    /// A uniform configuration.
    pub fn random(&self, rng: &mut Rng) -> Config {
        self.params.iter().map(|p| p.at(rng.uniform())).collect()
    }

    /// The same text for the same configuration, another one for any other.
    pub fn key(&self, config: &[f64]) -> String {
        let pairs = self.params.iter().zip(config).map(|(p, &v)| format!("{}={}", p.name, p.text(v)));
        pairs.collect::<Vec<_>>().join(" ")
    }

    /// `{name: value}`.
    pub fn json(&self, config: &[f64]) -> Json {
        Json::Object(self.params.iter().zip(config).map(|(p, &v)| (p.name.clone(), p.json(v))).collect())
    }

    /// What `config` has otherwise than `base`, as `name=value` words.
    pub fn changes(&self, base: &[f64], config: &[f64]) -> String {
        let all = self.params.iter().zip(base.iter().zip(config));
        let changed = all.filter(|(_, (b, c))| b != c).map(|(p, (_, &c))| format!("{}={}", p.name, p.text(c)));
        changed.collect::<Vec<_>>().join(" ")
    }
}
