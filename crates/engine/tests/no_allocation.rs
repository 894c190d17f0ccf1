//! No allocation inside a step: an allocator that counts what the threads of an engine ask for.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};

use engine::{
    Adapting, Base, Batch, CpuEngine, DecodeWeights, Decoder, Engine, IGNORE, Options, Shape, Sizes, init, init_adapter,
};
use kernels::Cpu;
use model::{AdapterForm, AdapterSpec, AdapterTarget, Family, Layout, ModelSpec, Rope, SlidingWindow};

/// Requests, and bytes of them, by the threads that report here.
#[derive(Default)]
struct Tally {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

thread_local! {
    // const and without a destructor, so that the allocator may read it at any time of a thread's life
    static TALLY: Cell<Option<&'static Tally>> = const { Cell::new(None) };
}

struct Counting;

impl Counting {
    fn count(bytes: usize) {
        if let Some(tally) = TALLY.get() {
            tally.calls.fetch_add(1, Relaxed);
            tally.bytes.fetch_add(bytes, Relaxed);
        }
    }
}

// SAFETY: every request goes to the system's allocator as it came; counting touches no memory of the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        Self::count(memory.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(memory) }
    }

    unsafe fn alloc_zeroed(&self, memory: Memory) -> *mut u8 {
        Self::count(memory.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(memory) }
    }

    unsafe fn realloc(&self, at: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        Self::count(size.saturating_sub(memory.size()));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, memory, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls `task` once on each thread of `cpu`.
fn on_each_thread(cpu: &Cpu, task: impl Fn() + Sync) {
    let barrier = Barrier::new(cpu.pool().threads());
    cpu.pool().run(cpu.pool().threads(), &|_| {
        barrier.wait();
        task();
    });
}

/// A tally of all threads of `cpu`, this one among them; other tests have their own.
fn watch(cpu: &Cpu) -> &'static Tally {
    let tally: &'static Tally = Box::leak(Box::default());
    on_each_thread(cpu, || TALLY.set(Some(tally)));
    tally
}

/// What `work` asks for: requests and bytes.
fn counted(tally: &Tally, work: impl FnOnce()) -> (usize, usize) {
    let before = (tally.calls.load(Relaxed), tally.bytes.load(Relaxed));
    work();
    (tally.calls.load(Relaxed) - before.0, tally.bytes.load(Relaxed) - before.1)
}

fn plain() -> ModelSpec {
    ModelSpec {
        family: Family::Llama,
        dim: 48,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_dim: 12,
        hidden: 80,
        vocab: 301,
        context: 256,
        rope: Rope::plain(10_000.0),
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied: true,
        qkv_bias: false,
        o_bias: false,
        qk_norm: false,
        window: None,
        residual_scale: 1.0,
    }
}

/// Everything that is optional, at once.
fn ornate() -> ModelSpec {
    let window = Some(SlidingWindow { size: 9, from_layer: 1 });
    ModelSpec { tied: false, qkv_bias: true, o_bias: true, qk_norm: true, window, residual_scale: 0.4, ..plain() }
}

/// Ids of `shape`, and where the document of each begins.
fn tokens(spec: &ModelSpec, shape: Shape) -> (Vec<u32>, Vec<u32>) {
    let n = shape.rows * shape.seq;
    let ids = (0..n).map(|i| (i * 37 % spec.vocab) as u32).collect();
    let starts = (0..n).map(|i| if i % shape.seq < shape.seq / 3 { 0 } else { (shape.seq / 3) as u32 }).collect();
    (ids, starts)
}

/// Six steps of which the last four may not allocate, on one and on two threads.
fn a_step_allocates_nothing(spec: &ModelSpec, options: Options) {
    spec.validate().unwrap();
    let shape = Shape { rows: 3, seq: 45 };
    let (inputs, starts) = tokens(spec, shape);
    let mut targets = inputs.clone();
    targets[7] = IGNORE;
    let batch = Batch { rows: 3, seq: 45, inputs: &inputs, targets: &targets, starts: Some(&starts) };
    let params = init(spec, &Layout::of(spec), 1);
    for threads in [1, 2] {
        let cpu = Cpu::new(threads);
        let step = |engine: &mut CpuEngine<'_>, grad: &mut [f32], accumulate| {
            let loss = engine.loss_and_grad(&params, &batch, grad, accumulate).unwrap();
            assert!(loss.sum.is_finite());
        };
        let mut engine = CpuEngine::new(&cpu, spec, shape, options);
        let mut grad = vec![0.0; params.len()];
        let tally = watch(&cpu);
        for i in 0..6 {
            let count = counted(tally, || step(&mut engine, &mut grad, i % 2 == 1));
            assert!(i < 2 || count == (0, 0), "step {i} on {threads} threads: {count:?} requests and bytes");
        }
    }
}

#[test]
fn the_allocator_counts_every_thread() {
    for threads in [1, 2] {
        let cpu = Cpu::new(threads);
        let tally = watch(&cpu);
        let (calls, bytes) =
            counted(tally, || on_each_thread(&cpu, || drop(std::hint::black_box(Vec::<u8>::with_capacity(1000)))));
        assert!(calls >= threads && bytes >= 1000 * threads, "{calls} requests, {bytes} bytes on {threads} threads");
    }
}

#[test]
fn a_step_of_a_plain_model_allocates_nothing() {
    a_step_allocates_nothing(&plain(), Options::TRAINING);
}

#[test]
fn a_step_with_head_norms_allocates_nothing() {
    a_step_allocates_nothing(&ModelSpec { qk_norm: true, ..plain() }, Options::TRAINING);
}

#[test]
fn a_step_with_everything_optional_allocates_nothing() {
    a_step_allocates_nothing(&ornate(), Options::TRAINING);
}

#[test]
fn a_step_that_recomputes_allocates_nothing() {
    a_step_allocates_nothing(&plain(), Options { gradient: true, recompute: true });
    a_step_allocates_nothing(&ornate(), Options { gradient: true, recompute: true });
}

#[test]
fn decoding_a_token_allocates_nothing() {
    for spec in [plain(), ornate()] {
        let params = init(&spec, &Layout::of(&spec), 1);
        let weights = DecodeWeights::borrowed(&spec, &params).unwrap();
        for threads in [1, 2] {
            let cpu = Cpu::new(threads);
            let tally = watch(&cpu);
            let mut decoder = Decoder::new(&cpu, &spec, &weights, 64);
            decoder.feed(&[1]).unwrap();
            for i in 1..64 {
                let count = counted(tally, || {
                    assert!(decoder.feed(&[i * 4]).unwrap().iter().all(|l| l.is_finite()));
                });
                assert_eq!(count, (0, 0), "requests and bytes of token {i} on {threads} threads");
            }
        }
    }
}

/// What is predicted before a run is what an engine takes, at any length of window.
#[test]
fn an_engine_takes_the_bytes_that_sizes_predicts() {
    let spec = ModelSpec { head_dim: 16, ..plain() };
    let layout = Layout::of(&spec);
    let params = init(&spec, &layout, 1);
    let mut grad = vec![0.0; params.len()];
    for seq in [256, 1024, 2048] {
        let cpu = Cpu::new(1);
        let shape = Shape { rows: 2048 / seq, seq };
        let (ids, _) = tokens(&spec, shape);
        let batch = Batch { rows: shape.rows, seq, inputs: &ids, targets: &ids, starts: None };
        let mut work = || {
            let mut engine = CpuEngine::new(&cpu, &spec, shape, Options::TRAINING);
            engine.loss_and_grad(&params, &batch, &mut grad, false).unwrap();
        };
        // the first time for the pack buffers, which outlive an engine; the second on a thread that has no scratch yet
        work();
        let (_, bytes) = std::thread::scope(|scope| scope.spawn(|| counted(watch(&cpu), work)).join().unwrap());
        let predicted = Sizes::of(&spec, shape, Options::TRAINING, 1).bytes();
        // beside the buffers: cosines and sines, which grow as they are made, and the names of the layout
        let beside = 8 * seq * spec.head_dim + (64 << 10);
        assert!(bytes + (64 << 10) >= predicted, "windows of {seq}: {bytes} bytes, {predicted} predicted");
        assert!(bytes <= predicted + beside, "windows of {seq}: {bytes} bytes, {predicted} + {beside} predicted");
    }
}

/// Backpropagation into an adapter asks for less memory than the smallest of the large frozen matrices has: a gradient of one, or
/// of all as it would be for weights that are trained, is never there. Later steps ask for nothing.
#[test]
fn no_gradient_of_a_frozen_matrix_is_held() {
    let spec = ModelSpec { dim: 512, head_dim: 128, hidden: 1024, ..plain() };
    let (layout, targets) = (Layout::of(&spec), AdapterTarget::parse_list("all").unwrap());
    let base = Arc::new(init(&spec, &layout, 1));
    let (ids, _) = tokens(&spec, Shape { rows: 1, seq: 4 });
    let batch = Batch { rows: 1, seq: 4, inputs: &ids, targets: &ids, starts: None };
    for form in [AdapterForm::Split, AdapterForm::Dora] {
        let plan = AdapterSpec { rank: 2, alpha: 4.0, rank_stabilized: false, targets: targets.clone(), norms: false, form };
        let own = Layout::of_adapter(&spec, &plan);
        let mut values = init_adapter(&own, (&layout, Base::Flat(&base)), 3);
        values.iter_mut().for_each(|v| *v += 0.01);
        let (cpu, mut grad) = (Cpu::new(1), vec![0.0; own.len()]);
        let mut work = |tally: &Tally, steps: usize| {
            let walk = CpuEngine::new(&cpu, &spec, Shape { rows: 1, seq: 4 }, Options::TRAINING);
            let mut engine = Adapting::new(walk, base.clone(), &plan);
            for step in 0..steps {
                let (calls, _) = counted(tally, || {
                    assert!(engine.loss_and_grad_unless(&values, &batch, &mut grad, step > 0, &mut || false).unwrap().is_some());
                });
                assert!(step < 2 || calls == 0, "{form:?}: {calls} requests in step {step}");
            }
        };
        work(watch(&cpu), 4);
        let mut all = || {
            let tally = watch(&cpu);
            counted(tally, || work(tally, 2))
        };
        let (_, bytes) = std::thread::scope(|scope| scope.spawn(&mut all).join().unwrap());
        let frozen = 4 * spec.hidden * spec.dim;
        assert!(bytes < frozen, "{form:?}: {bytes} bytes, a frozen matrix has {frozen}");
        assert!(4 * own.len() < frozen / 4, "the gradient is the adapter's");
    }
}
