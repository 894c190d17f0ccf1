//! Persistent worker threads: spin for a moment, then park; tasks are claimed one by one from a counter.
//!
//! A run is published as one 64-bit ticket `epoch << 32 | next task`. A worker claims by compare-and-swap on the exact
//! ticket it saw, so a worker that wakes late can neither claim from a finished run nor hold the next one up: a run
//! ends when its tasks are done, not when every worker has looked at it.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

mod chunks;

/// How long a thread spins for work or for the end of a run before it parks: long enough for the gap between two
/// kernels of a step, short enough to leave a busy machine alone.
const SPIN: Duration = Duration::from_micros(40);
/// Task index of a ticket that has nothing to claim.
const CLOSED: u64 = u32::MAX as u64;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A fixed set of threads that run numbered tasks; the calling thread takes part.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    caller: Mutex<()>,
}

type Task<'a> = &'a (dyn Fn(usize) + Sync);

struct Job<'a> {
    task: Task<'a>,
}

struct Shared {
    ticket: AtomicU64,
    tasks: AtomicUsize,
    job: AtomicPtr<Job<'static>>,
    done: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    waiting: AtomicBool,
    stop: AtomicBool,
    gate: Mutex<()>,
    wake: Condvar,
    finished: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Starts `threads - 1` workers (0 counts as 1). Threads that the system refuses are done without.
    pub fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared {
            ticket: AtomicU64::new(CLOSED),
            tasks: AtomicUsize::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
            done: AtomicUsize::new(0),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            gate: Mutex::new(()),
            wake: Condvar::new(),
            finished: Condvar::new(),
        });
        let workers = (1..threads.max(1))
            .map_while(|i| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("kernels-{i}")).spawn(move || shared.work()).ok()
            })
            .collect();
        Pool { shared, workers, caller: Mutex::new(()) }
    }

    /// Threads that take part in a run, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(i)` once for every `i` in `0..tasks`, on all threads, and returns when all calls have returned.
    ///
    /// A run from inside a task runs on that task's thread alone.
    ///
    /// # Panics
    /// A panic of a task is raised again here, after the other tasks have ended.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() || tasks <= 1 || tasks >= CLOSED as usize || INSIDE.get() {
            return (0..tasks).for_each(task);
        }
        let _one_at_a_time = lock(&self.caller);
        let job = Job { task };
        self.shared.publish(&job, tasks);
        self.shared.take_part();
        self.shared.wait_for_end(tasks);
        self.shared.close();
        let panic = lock(&self.shared.panic).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(lock(&self.shared.gate));
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw: a join error has nothing to tell.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn publish(&self, job: &Job<'_>, tasks: usize) {
        self.done.store(0, Ordering::Relaxed);
        self.tasks.store(tasks, Ordering::Release);
        self.job.store(std::ptr::from_ref(job).cast_mut().cast(), Ordering::Release);
        let epoch = self.ticket.load(Ordering::Relaxed) >> 32;
        self.ticket.store((epoch + 1) << 32, Ordering::SeqCst);
        let sleepers = self.sleepers.load(Ordering::SeqCst);
        if sleepers > 0 {
            drop(lock(&self.gate));
            for _ in 0..sleepers.min(tasks - 1) {
                self.wake.notify_one();
            }
        }
    }

    fn close(&self) {
        self.ticket.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Takes one task of the current run, if there is one left.
    fn claim(&self) -> Option<(usize, *const Job<'static>)> {
        let mut seen = self.ticket.load(Ordering::Acquire);
        loop {
            let index = seen & CLOSED;
            let tasks = self.tasks.load(Ordering::Acquire);
            if index == CLOSED || index >= tasks as u64 {
                return None;
            }
            let job = self.job.load(Ordering::Acquire);
            match self.ticket.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some((index as usize, job)),
                Err(now) => seen = now,
            }
        }
    }

    /// Runs tasks until none is left to claim.
    fn take_part(&self) {
        let outer = INSIDE.replace(true);
        while let Some((index, job)) = self.claim() {
            // SAFETY: the claim succeeded on an open ticket, so `job` is that run's, and its caller keeps it alive until
            // `done` has counted this task.
            let task = unsafe { (*job).task };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| task(index))) {
                lock(&self.panic).get_or_insert(payload);
            }
            self.finish_one();
        }
        INSIDE.set(outer);
    }

    fn finish_one(&self) {
        // Read before the count: the caller may publish another run as soon as the last task is counted.
        let tasks = self.tasks.load(Ordering::Relaxed);
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == tasks && self.waiting.load(Ordering::SeqCst) {
            drop(lock(&self.gate));
            self.finished.notify_all();
        }
    }

    fn wait_for_end(&self, tasks: usize) {
        let ended = || self.done.load(Ordering::SeqCst) == tasks;
        if spin(ended) {
            return;
        }
        self.waiting.store(true, Ordering::SeqCst);
        let mut gate = lock(&self.gate);
        while !ended() {
            gate = self.finished.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.store(false, Ordering::SeqCst);
    }

    fn work(&self) {
        let ready = || self.has_work() || self.stop.load(Ordering::SeqCst);
        while !self.stop.load(Ordering::SeqCst) {
            self.take_part();
            if !spin(ready) {
                let mut gate = lock(&self.gate);
                self.sleepers.fetch_add(1, Ordering::SeqCst);
                while !ready() {
                    gate = self.wake.wait(gate).unwrap_or_else(PoisonError::into_inner);
                }
                self.sleepers.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    fn has_work(&self) -> bool {
        let index = self.ticket.load(Ordering::SeqCst) & CLOSED;
        index != CLOSED && index < self.tasks.load(Ordering::Relaxed) as u64
    }
}

/// Polls until `ready` or the spin time has passed; says whether it became ready.
fn spin(ready: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > SPIN {
            return false;
        }
    }
}

/// A raw pointer that tasks share; each task touches its own part.
pub(crate) struct Shareable<T>(*mut T, PhantomData<T>);

impl<T> Shareable<T> {
    pub(crate) fn new(pointer: *mut T) -> Self {
        Shareable(pointer, PhantomData)
    }

    pub(crate) fn get(&self) -> *mut T {
        self.0
    }
}

impl<T> Clone for Shareable<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shareable<T> {}
// SAFETY: only an address; whoever dereferences it answers for disjointness.
unsafe impl<T: Send> Send for Shareable<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shareable<T> {}

#[cfg(test)]
mod tests;
