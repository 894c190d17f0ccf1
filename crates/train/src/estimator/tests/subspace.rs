//! Methods that look in spaces of few dimensions.

use engine::Engine;
use model::{AdapterForm, AdapterSpec, AdapterTarget, TensorId};

use super::*;
use crate::estimator::lowrank::Places;

/// `a b`, `a` `[n, k]`, `b` `[k, m]`.
fn product(a: &[f32], b: &[f32], [n, k, m]: [usize; 3]) -> Vec<f32> {
    let at = |i: usize, j: usize| (0..k).map(|x| a[i * k + x] * b[x * m + j]).sum();
    (0..n * m).map(|i| at(i / m, i % m)).collect()
}

fn transposed(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| a[i % rows * cols + i / rows]).collect()
}

/// Mean estimate of steps `2 ..= count + 1`, after a first one that settles what the method learns.
fn mean_after_first(tiny: &Tiny, estimator: &mut dyn Estimator, count: u64) -> Vec<f64> {
    let (mut walk, mut sum) = (tiny.walk(), vec![0.0; tiny.layout.len()]);
    tiny.estimate(&mut walk, estimator, 1);
    estimator.finish(&tiny.cpu);
    for step in 2..=count + 1 {
        tiny.estimate(&mut walk, estimator, step);
        tiny.add(estimator, &mut sum);
    }
    sum.iter().map(|s| s / count as f64).collect()
}

#[test]
fn the_mean_of_p_gap_is_the_gradient_in_its_spaces_and_delta_times_it_along_their_own() {
    let (tiny, delta, rank) = (Tiny::new(), 3.0, 2);
    let mut pgap = Pgap::new(Line { directions: 6, ..line(Distribution::Gaussian) }, rank, 1 << 40, delta, &tiny.layout);
    let mean = mean_after_first(&tiny, &mut pgap, 10_000);
    let places = pgap.places.clone();
    let [(_, u), (_, v), (_, core)] = pgap.state()[..] else { panic!("three arrays") };
    let (mut want, mut at) = (tiny.gradient.clone(), 0);
    for place in places.matrices() {
        let (r, m, n) = (place.rank, place.rows, place.cols);
        let (u, v, core) = (&u[place.u()], &v[place.v()], &core[at..at + r * r]);
        let g = &tiny.gradient[place.start..place.end];
        let mut inside = product(&product(&transposed(u, m, r), g, [r, m, n]), &transposed(v, r, n), [r, n, r]);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let factor = (delta as f32 - 1.0) * dot(&inside, core) / dot(core, core);
        inside.iter_mut().zip(core).for_each(|(g, m)| *g += factor * m);
        want[place.start..place.end].copy_from_slice(&product(&product(u, &inside, [m, r, r]), v, [m, r, n]));
        at += r * r;
    }
    agrees("p-gap", &mean, &want, 0.15);
}

#[test]
fn what_p_gap_has_along_the_gradient_falls_to_nothing_over_the_run_and_is_said_by_its_trajectory() {
    let tiny = Tiny::new();
    let make = || Pgap::new(Line { directions: 3, ..line(Distribution::Gaussian) }, 2, 1 << 40, 4.0, &tiny.layout);
    let (mut pgap, mut again, mut walk) = (make(), make(), tiny.walk());
    tiny.estimate(&mut walk, &mut pgap, 1);
    pgap.finish(&tiny.cpu);
    again.load(&pgap.state().iter().map(|(_, values)| values.to_vec()).collect::<Vec<_>>());
    // Z of the first matrix along M, by |M|: its length there is the root of delta
    let along = |pgap: &Pgap| {
        let place = *pgap.places.matrices().next().unwrap();
        let [(_, u), (_, v), (_, core)] = pgap.state()[..] else { panic!("three arrays") };
        let (r, m, n) = (place.rank, place.rows, place.cols);
        let mut direction = vec![0.0; place.end - place.start];
        pgap.probe(0).direction.fill(place.start, &tiny.params[place.start..place.end], &mut direction);
        let z = product(
            &product(&transposed(&u[place.u()], m, r), &direction, [r, m, n]),
            &transposed(&v[place.v()], r, n),
            [r, n, r],
        );
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(&z, &core[..r * r]).abs() / dot(&core[..r * r], &core[..r * r]).sqrt()
    };
    for (progress, want) in [(0.0, 2.0), (0.75, 1.0), (1.0, 0.0)] {
        pgap.set_progress(progress);
        tiny.estimate(&mut walk, &mut pgap, 2);
        assert!((along(&pgap) - want).abs() < 1e-3, "{progress}: {}", along(&pgap));
        again.begin(&tiny.cpu, 2, &tiny.params);
        assert!(again.recall(&pgap.decided()));
        assert!((along(&again) - want).abs() < 1e-3, "{progress}, again");
    }
}

/// The original made its basis once and never again.
#[test]
fn p_gap_makes_its_bases_anew_at_each_interval_and_only_then() {
    let tiny = Tiny::new();
    let mut pgap = Pgap::new(Line { directions: 3, ..line(Distribution::Gaussian) }, 2, 4, 2.0, &tiny.layout);
    let (mut walk, mut bases) = (tiny.walk(), Vec::new());
    for step in 1..=9 {
        tiny.estimate(&mut walk, &mut pgap, step);
        assert_eq!(pgap.probes(), if matches!(step, 1 | 5 | 9) { 3 } else { 1 }, "{step}");
        pgap.finish(&tiny.cpu);
        bases.push(pgap.state()[0].1.to_vec());
    }
    let changed: Vec<usize> = (1..9).filter(|i| bases[*i] != bases[i - 1]).map(|i| i + 1).collect();
    assert_eq!(changed, [5, 9]);
}

/// The original's stack buffer held a rank of 64, its flat array no adapters of the feed-forward matrices, and Sparse-MeZO and
/// HiZOO failed an assertion beside those.
#[test]
fn every_method_takes_adapters_of_every_matrix_and_any_rank() {
    let tiny = Tiny::new();
    let spec = AdapterSpec {
        rank: 3,
        alpha: 4.0,
        rank_stabilized: false,
        targets: AdapterTarget::parse_list("all").unwrap(),
        norms: true,
        form: AdapterForm::Split,
    };
    let layout = Layout::of_adapter(&tiny.spec, &spec);
    assert!(layout.tensors().iter().any(|t| matches!(t.id, TensorId::Adapter(_, model::Part::Down, _))));
    let values = engine::init_adapter(&layout, (&tiny.layout, engine::Base::Flat(&tiny.params)), 3);
    let walk = CpuEngine::new(&tiny.cpu, &tiny.spec, Shape { rows: 1, seq: 6 }, Options::INFERENCE);
    let mut engine = engine::Adapting::new(walk, std::sync::Arc::new(tiny.params.clone()), &spec);
    for mut estimator in all(&layout, 100) {
        for step in 1..=3 {
            estimator.begin(&tiny.cpu, step, &values);
            let mut see = |l, which, inputs: &[f32]| estimator.see(&tiny.cpu, l, which, inputs);
            let base = engine.score_seen(&values, &batch(), &mut see).unwrap().mean();
            let mut pairs = Vec::new();
            for i in 0..estimator.probes() {
                let found = engine.losses_along(&tiny.cpu, &values, &batch(), &estimator.probe(i), &mut || false);
                pairs.push(found.unwrap().unwrap().map(|l| l.mean()));
            }
            estimator.conclude(&Measured { base, pairs: &pairs, depths: &[] }, &values);
            let (mut squares, terms) = (vec![0.0; layout.len()], estimator.terms());
            Gradient::Along { terms: &terms, scale: 1.0 }.tiles(0, &values, |at, g| {
                squares[at..].iter_mut().zip(g).for_each(|(s, g)| *s += g * g);
            });
            for t in layout.tensors().iter().filter(|t| t.shape[0] > 1) {
                let moved = squares[t.range.clone()].iter().sum::<f32>();
                assert!(moved > 0.0 && moved.is_finite(), "step {step}: {:?} does not move", t.id);
            }
            estimator.finish(&tiny.cpu);
        }
    }
}

/// On the stack of the original 64 numbers had room. Here a rank is as large as the matrices let it be.
#[test]
fn a_rank_beyond_64_has_room() {
    let narrow = Tiny::new();
    let wide = Tiny::of(ModelSpec { dim: 80, head_dim: 80, hidden: 96, ..narrow.spec });
    for mut estimator in [
        Box::new(Lozo::new(line(Distribution::Gaussian), 72, 2, &wide.layout)) as Box<dyn Estimator>,
        Box::new(Pgap::new(Line { directions: 3, ..line(Distribution::Gaussian) }, 72, 2, 2.0, &wide.layout)),
        Box::new(Agzo::new(Line { directions: 2, ..line(Distribution::Gaussian) }, 72, &wide.layout)),
        Box::new(ZoMuon::new(Line { directions: 3, ..line(Distribution::Gaussian) }, 72, 2, &wide.layout)),
    ] {
        let mut walk = wide.walk();
        for step in 1..=3 {
            wide.estimate(&mut walk, &mut *estimator, step);
            let mut sum = vec![0.0; wide.layout.len()];
            wide.add(&*estimator, &mut sum);
            for t in wide.layout.tensors().iter().filter(|t| t.shape[0] > 1) {
                let along: f64 = sum[t.range.clone()].iter().map(|g| g * g).sum();
                assert!(along > 0.0 && along.is_finite(), "step {step}: {:?} does not move", t.id);
            }
            estimator.finish(&wide.cpu);
        }
    }
}

#[test]
fn the_mean_of_agzo_is_the_gradient_projected_onto_what_matrices_multiply() {
    let (tiny, rank) = (Tiny::new(), 2);
    let mut agzo = Agzo::new(Line { directions: 2, eps: 1e-3, ..line(Distribution::Gaussian) }, rank, &tiny.layout);
    let mut walk = tiny.walk();
    let mut inputs: Vec<(Projection, Vec<f32>)> = Vec::new();
    walk.score_seen(&tiny.params, &batch(), &mut |_, which, x| inputs.push((which, x.to_vec()))).unwrap();
    assert_eq!(inputs.len(), 4, "one block");
    let mean = tiny.mean(&mut agzo, 10_000);
    let mut want = tiny.gradient.clone();
    let mut projected = 0;
    for t in tiny.layout.tensors() {
        let TensorId::Layer(_, part) = t.id else { continue };
        let which = match part {
            model::Part::Q | model::Part::K | model::Part::V => Projection::Qkv,
            model::Part::O => Projection::O,
            model::Part::Gate | model::Part::Up => Projection::GateUp,
            model::Part::Down => Projection::Down,
            _ => continue,
        };
        let (cols, own) = (t.shape[1], t.range.clone());
        let x = &inputs.iter().find(|(w, _)| *w == which).unwrap().1;
        let a = dominant(x, cols, rank);
        let inside = product(&tiny.gradient[own.clone()], &a, [t.shape[0], cols, rank]);
        want[own].copy_from_slice(&product(&inside, &transposed(&a, cols, rank), [t.shape[0], rank, cols]));
        projected += 1;
    }
    assert_eq!(projected, 7);
    agrees("agzo", &mean, &want, 0.35);
    // all of a gradient lies in the space of all inputs
    let t = tiny.layout.tensors().iter().find(|t| matches!(t.id, TensorId::Layer(_, model::Part::Q))).unwrap();
    let a = dominant(&inputs[0].1, t.shape[1], 6);
    let inside = product(&tiny.gradient[t.range.clone()], &a, [t.shape[0], t.shape[1], 6]);
    let back = product(&inside, &transposed(&a, t.shape[1], 6), [t.shape[0], 6, t.shape[1]]);
    let (share, apart) = against(&back.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), &tiny.gradient[t.range.clone()]);
    assert!((share - 1.0).abs() < 1e-3 && apart < 1e-2, "{share} {apart}");
}

/// Orthonormal basis of the `rank` largest singular values of the rows of `x`, `[cols, rank]`, by many iterations.
fn dominant(x: &[f32], cols: usize, rank: usize) -> Vec<f32> {
    let (n, mut a) = (x.len() / cols, vec![0.0; cols * rank]);
    Noise { seed: 9, distribution: Distribution::Gaussian, isa: Isa::best() }.fill(0, &mut a);
    for _ in 0..200 {
        a = product(&transposed(x, n, cols), &product(x, &a, [n, cols, rank]), [cols, n, rank]);
        crate::estimator::lowrank::orthonormalize(&mut a, cols, rank);
    }
    a
}

#[test]
fn the_mean_of_zo_muon_in_its_subspace_is_the_gradient_there_and_its_step_is_orthonormal() {
    let (tiny, rank) = (Tiny::new(), 2);
    let mut zomuon = ZoMuon::new(Line { directions: 4, eps: 1e-3, ..line(Distribution::Gaussian) }, rank, 1 << 40, &tiny.layout);
    let places = Places::of(&tiny.layout, |t| rank.min(t.shape[0]));
    let (mut walk, mut sum, count) = (tiny.walk(), vec![0.0; places.v], 10_000);
    for step in 1..=count {
        tiny.estimate(&mut walk, &mut zomuon, step);
        for place in places.matrices() {
            sum[place.v()].iter_mut().zip(zomuon.estimate(place)).for_each(|(s, g)| *s += f64::from(g));
        }
    }
    let p = &zomuon.step.u;
    let (mut want, mut found) = (Vec::new(), Vec::new());
    for place in places.matrices() {
        let g = &tiny.gradient[place.start..place.end];
        want.extend(product(&transposed(&p[place.u()], place.rows, rank), g, [rank, place.rows, place.cols]));
        found.extend(sum[place.v()].iter().map(|s| s / count as f64));
    }
    agrees("zo-muon", &found, &want, 0.15);
    let mut step = vec![0.0; tiny.layout.len()];
    zomuon.terms()[0].direction.fill(0, &tiny.params, &mut step);
    let norm = step.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!((norm - zomuon.norm(step.len())).abs() < 1e-3 * norm, "{norm}");
    for place in places.matrices() {
        // singular values of 0.7 to 1.2: rank of them
        let square: f32 = step[place.start..place.end].iter().map(|x| x * x).sum();
        assert!((0.3 * rank as f32..1.6 * rank as f32).contains(&square), "{square}");
    }
}

/// Every method, with few directions, for weights of `layout`.
pub(super) fn all(layout: &Layout, rank: usize) -> Vec<Box<dyn Estimator>> {
    let n = layout.len();
    let normal = line(Distribution::Gaussian);
    let many = Line { directions: 3, ..normal };
    vec![
        Box::new(Mezo::new(normal)),
        Box::new(Fzoo::new(many)),
        Box::new(SparseMezo::new(normal, 0.5, layout)),
        Box::new(Hizoo::new(normal, 1e-2, n)),
        Box::new(Lozo::new(normal, rank, 2, layout)),
        Box::new(ConMezo::new(normal, 1.3, 0.9, n)),
        Box::new(Pgap::new(many, rank, 2, 2.0, layout)),
        Box::new(Agzo::new(many, rank, layout)),
        Box::new(ZoMuon::new(many, rank, 2, layout)),
    ]
}

/// Weights after three steps of descent.
fn trained(tiny: &Tiny, threads: usize, mut estimator: Box<dyn Estimator>) -> Vec<f32> {
    let cpu = Cpu::new(threads);
    let (spec, layout, gradient) = (tiny.spec.clone(), tiny.layout.clone(), Vec::new());
    let mut tiny = Tiny { cpu, spec, layout, params: tiny.params.clone(), gradient };
    let mut sgd = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, &tiny.layout, 0.0);
    for step in 1..=3 {
        {
            let mut walk = tiny.walk();
            tiny.estimate(&mut walk, &mut *estimator, step);
        }
        let mut params = std::mem::take(&mut tiny.params);
        sgd.step(&tiny.cpu, &mut params, &Gradient::Along { terms: &estimator.terms(), scale: 1.0 }, 1e-3);
        tiny.params = params;
        estimator.finish(&tiny.cpu);
    }
    tiny.params
}

#[test]
fn no_method_depends_on_the_number_of_threads() {
    let tiny = Tiny::new();
    for (i, (one, three)) in all(&tiny.layout, 2).into_iter().zip(all(&tiny.layout, 2)).enumerate() {
        let (one, three) = (trained(&tiny, 1, one), trained(&tiny, 3, three));
        assert!(one.iter().zip(&three).all(|(a, b)| a.to_bits() == b.to_bits()), "method {i}");
        assert!(one != tiny.params, "method {i} moves");
    }
}

#[test]
fn equal_losses_leave_every_bit_whatever_the_method() {
    let tiny = Tiny::new();
    for (i, mut estimator) in all(&tiny.layout, 2).into_iter().enumerate() {
        for step in 1..=2 {
            estimator.begin(&tiny.cpu, step, &tiny.params);
            let pairs = vec![[1.5; 2]; estimator.probes()];
            estimator.conclude(&Measured { base: 1.5, pairs: &pairs, depths: &[] }, &tiny.params);
            let (mut params, mut sgd) =
                (tiny.params.clone(), Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, &tiny.layout, 0.0));
            sgd.step(&tiny.cpu, &mut params, &Gradient::Along { terms: &estimator.terms(), scale: 1.0 }, 0.1);
            assert!(params.iter().zip(&tiny.params).all(|(a, b)| a.to_bits() == b.to_bits()), "method {i}, step {step}");
            estimator.finish(&tiny.cpu);
        }
    }
}
