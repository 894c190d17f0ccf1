//! `bench --estimator`: gradients that are estimated from losses, held against the true one.
//!
//! Of K estimates `e` of one gradient `g` of n weights, at one batch:
//!
//! ```text
//! along      <mean e, g> / |g|^2                          1 where nothing is scaled or projected away
//! cosine     mean of <e, g> / (|e| |g|)                   about sqrt(q / n) for q independent directions
//! variance   sum |e - mean e|^2 / (K - 1) / |g|^2         about n / q
//! bias       sqrt(|mean e - g|^2 / |g|^2 - variance / K)  the part that more estimates do not average away
//! ```
//!
//! By layer: the cosine of the mean of all estimates with the gradient, there alone.

mod subject;

use std::time::{Duration, Instant};

use anyhow::Context;
use engine::{Engine, LossSum, Options};
use kernels::Cpu;
use model::TensorId;
use serde_json::json;
use train::Gradient;
use train::estimator::{Estimator, Measured};

use super::Job;
use crate::circumstances::Measuring;
use crate::cli::{BenchArgs, Estimators};
use crate::config::{self, Method, TrainConfig};
use crate::out::Out;
use crate::{exit, wire};
use subject::Subject;

/// Estimates of a method at least: a variance wants some.
const LEAST: usize = 8;

/// Sums over the estimates of a method.
struct Sums {
    count: usize,
    /// Of the estimates.
    mean: Vec<f64>,
    /// Of their squared norms, and of their cosines with the gradient.
    squares: f64,
    cosines: f64,
    took: Duration,
}

/// What a method's estimates are like.
struct Found {
    count: usize,
    along: f64,
    cosine: f64,
    variance: f64,
    bias: f64,
    layers: Vec<(String, f64)>,
    ms: f64,
}

/// Measures each of `methods`.
pub(super) fn run(job: &Job, methods: &Estimators, args: &BenchArgs, cpu: &Cpu, out: Out) -> anyhow::Result<()> {
    let subject = Subject::new(job, args, cpu, out)?;
    let methods: Vec<Method> = methods.0.iter().copied().filter(|m| subject.is_beside() || *m != Method::Dszo).collect();
    if methods.is_empty() {
        return Err(exit::usage(
            "dszo estimates the gradient of an adapter in split form: add --data with --lora, or name the run of one",
        ));
    }
    let measuring = Measuring::alone(out);
    let (n, batch) = (subject.layout.len(), subject.batch());
    let of = if subject.is_adapter() { " of an adapter" } else { "" };
    out.line(format!("{}: {n} weights{of}, a batch of {} windows of {} tokens", subject.name, batch.rows, batch.seq))?;
    let each = args.max_time / methods.len() as u32;
    let number = |x: f64| if x.is_finite() { format!("{x:.4}") } else { "-".to_owned() };
    let (mut rows, mut records, mut layers) = (Vec::new(), Vec::new(), Vec::new());
    for &method in &methods {
        let mut progress = out.progress(method.name(), 0);
        progress.update(0, "estimating");
        let found = subject.measure(method, args, each)?;
        drop(progress);
        let (count, variance, ms) = (found.count.to_string(), number(found.variance / n as f64), format!("{:.1}", found.ms));
        // of a few estimates the variance hides any bias
        let bias = if found.count < LEAST { f64::NAN } else { found.bias };
        let [along, cosine, bias] = [found.along, found.cosine, bias].map(number);
        rows.push(vec![method.name().to_owned(), count, along, cosine, variance, bias, ms]);
        records.push(found.json(method));
        layers.push(found.layers);
    }
    out.table(&["method", "estimates", "along", "cosine", "variance / n", "bias", "ms each"], &rows)?;
    out.line(format!("\nof one direction of independent elements: cosine {:.4}, variance / n 1", 1.0 / (n as f64).sqrt()))?;
    out.line("\ncosine of the mean of all estimates with the gradient, by layer:")?;
    let by_layer = |i: usize| layers.iter().map(|of_method| number(of_method[i].1)).collect::<Vec<_>>();
    let named = |(i, (name, _)): (usize, &(String, f64))| [vec![name.clone()], by_layer(i)].concat();
    let rows: Vec<_> = layers[0].iter().enumerate().map(named).collect();
    let titles: Vec<&str> = std::iter::once("layer").chain(methods.iter().map(|m| m.name())).collect();
    out.table(&titles, &rows)?;
    let adapter = subject.is_adapter();
    // estimates of different methods take different times: their spread says nothing
    let circumstances = measuring.end(&[]);
    circumstances.say(out)?;
    out.json(&json!({
        "model": subject.name, "weights": n, "adapter": adapter, "mezo_eps": args.mezo_eps, "methods": records,
        "circumstances": circumstances.json(),
    }))
}

impl Subject<'_> {
    fn measure(&self, method: Method, args: &BenchArgs, time: Duration) -> anyhow::Result<Found> {
        let zeroth = config::zeroth(method, self.is_adapter());
        let config = TrainConfig {
            method,
            mezo_eps: args.mezo_eps,
            zo_directions: zeroth.zo_directions,
            zo_rank: zeroth.zo_rank,
            zo_interval: zeroth.zo_interval,
            ..self.config.clone()
        };
        let mut estimator = wire::estimator(&config, &self.spec, &self.layout, self.cpu)
            .ok_or_else(|| exit::usage("backprop is what they are held against"))?;
        let mut engine = self.engine(Options::INFERENCE);
        let mut sums = Sums { count: 0, mean: vec![0.0; self.layout.len()], squares: 0.0, cosines: 0.0, took: Duration::ZERO };
        let began = Instant::now();
        let enough = |count: usize| match args.samples {
            Some(samples) => count >= samples,
            None => count >= LEAST && began.elapsed() >= time,
        };
        while !enough(sums.count) {
            let start = Instant::now();
            self.estimate(&mut *engine, &mut *estimator, sums.count as u64 + 1).context(method.name())?;
            sums.took += start.elapsed();
            self.add(&*estimator, &mut sums);
            // what a method learns from a step is the next step's
            estimator.finish(self.cpu);
        }
        Ok(self.conclude(&sums))
    }

    /// One step's estimate.
    fn estimate(&self, engine: &mut dyn Engine, estimator: &mut dyn Estimator, step: u64) -> anyhow::Result<()> {
        estimator.begin(self.cpu, step, &self.params);
        let batch = self.batch();
        let base = if estimator.wants_inputs() {
            let mut see = |l, which, inputs: &[f32]| estimator.see(self.cpu, l, which, inputs);
            engine.score_seen(&self.params, &batch, &mut see)?.mean()
        } else if estimator.wants_base() {
            engine.score(&self.params, &batch)?.mean()
        } else {
            f64::NAN
        };
        let (probes, depths) = ((0..estimator.probes()).map(|i| estimator.probe(i)).collect::<Vec<_>>(), estimator.depths());
        let mut losses = vec![[LossSum::default(); 2]; probes.len() * depths.max(1)];
        if depths > 0 {
            engine.losses_by_depth(self.cpu, &self.params, &batch, &probes, &mut losses, &mut || false)?;
        } else {
            engine.losses_along_all(self.cpu, &self.params, &batch, &probes, &mut losses, &mut || false)?;
        }
        let losses: Vec<[f64; 2]> = losses.into_iter().map(|pair| pair.map(LossSum::mean)).collect();
        let (pairs, depths): (&[_], &[_]) = if depths > 0 { (&[], &losses) } else { (&losses, &[]) };
        estimator.conclude(&Measured { base, pairs, depths }, &self.params);
        Ok(())
    }

    fn add(&self, estimator: &dyn Estimator, sums: &mut Sums) {
        let terms = estimator.terms();
        let (mut square, mut along, mut of_gradient) = (0.0, 0.0, 0.0);
        Gradient::Along { terms: &terms, scale: 1.0 }.tiles(0, &self.params, |at, values| {
            for ((sum, value), g) in sums.mean[at..].iter_mut().zip(values).zip(&self.gradient[at..]) {
                let (value, g) = (f64::from(*value), f64::from(*g));
                *sum += value;
                square += value * value;
                along += value * g;
                of_gradient += g * g;
            }
        });
        sums.count += 1;
        sums.squares += square;
        sums.cosines += along / (square * of_gradient).sqrt();
    }

    fn conclude(&self, sums: &Sums) -> Found {
        let k = sums.count as f64;
        let all = (0..self.layout.len()).map(|i| (sums.mean[i] / k, f64::from(self.gradient[i])));
        let dots = Dots::of(all);
        let spread = (sums.squares - k * dots.mean) / (k - 1.0);
        let bias = (dots.mean - 2.0 * dots.along + dots.gradient - spread / k) / dots.gradient;
        Found {
            count: sums.count,
            along: dots.along / dots.gradient,
            cosine: sums.cosines / k,
            variance: spread / dots.gradient,
            bias: bias.max(0.0).sqrt(),
            layers: self.layers(sums),
            ms: 1e3 * sums.took.as_secs_f64() / k,
        }
    }

    /// Cosine of the mean estimate and the gradient, group by group.
    fn layers(&self, sums: &Sums) -> Vec<(String, f64)> {
        let mut groups: Vec<(String, Dots)> = Vec::new();
        for t in self.layout.tensors() {
            let name = match t.id {
                TensorId::Layer(l, _) | TensorId::Adapter(l, ..) => format!("layer {l}"),
                TensorId::Embed => "embedding".to_owned(),
                TensorId::Head => "classifier".to_owned(),
                _ => "final norm".to_owned(),
            };
            let dots = Dots::of(t.range.clone().map(|i| (sums.mean[i] / sums.count as f64, f64::from(self.gradient[i]))));
            match groups.last_mut() {
                Some((last, sum)) if *last == name => *sum = sum.plus(&dots),
                _ => groups.push((name, dots)),
            }
        }
        groups.into_iter().map(|(name, d)| (name, d.along / (d.mean * d.gradient).sqrt())).collect()
    }
}

/// Scalar products of a mean estimate and the gradient.
struct Dots {
    mean: f64,
    along: f64,
    gradient: f64,
}

impl Dots {
    fn of(pairs: impl Iterator<Item = (f64, f64)>) -> Dots {
        let zero = Dots { mean: 0.0, along: 0.0, gradient: 0.0 };
        pairs.fold(zero, |d, (m, g)| d.plus(&Dots { mean: m * m, along: m * g, gradient: g * g }))
    }

    fn plus(&self, other: &Dots) -> Dots {
        Dots { mean: self.mean + other.mean, along: self.along + other.along, gradient: self.gradient + other.gradient }
    }
}

impl Found {
    fn json(&self, method: Method) -> serde_json::Value {
        let layers: serde_json::Map<_, _> = self.layers.iter().map(|(name, cosine)| (name.clone(), json!(cosine))).collect();
        json!({
            "method": method.name(), "estimates": self.count, "along": self.along, "cosine": self.cosine,
            "variance": self.variance, "bias": self.bias, "layer_cosines": layers, "ms": self.ms,
        })
    }
}
