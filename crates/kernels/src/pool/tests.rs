#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn every_task_runs_once() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads);
        for tasks in [0usize, 1, 2, 7, 100, 1000] {
            for _ in 0..50 {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, &|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        }
    }
}

#[test]
fn parked_workers_wake() {
    let pool = Pool::new(3);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(1));
        let sum = AtomicUsize::new(0);
        pool.run(10, &|i| {
            std::thread::sleep(Duration::from_micros(200));
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}

#[test]
fn both_threads_take_part() {
    let pool = Pool::new(2);
    let (a, b) = (AtomicBool::new(false), AtomicBool::new(false));
    // Each task waits for the other to start: one thread alone would never end.
    pool.run(2, &|i| {
        let (mine, other) = if i == 0 { (&a, &b) } else { (&b, &a) };
        mine.store(true, Ordering::SeqCst);
        while !other.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    });
}

#[test]
fn panics_reach_the_caller_and_the_pool_goes_on() {
    let pool = Pool::new(2);
    for _ in 0..10 {
        let result = catch_unwind(AssertUnwindSafe(|| pool.run(8, &|i| assert_ne!(i, 5, "task five"))));
        let payload = result.unwrap_err();
        assert!(payload.downcast_ref::<String>().unwrap().contains("task five"));
        let n = AtomicUsize::new(0);
        pool.run(8, &|_| {
            n.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(n.into_inner(), 8);
    }
}

#[test]
fn nested_runs_are_inline() {
    let pool = Pool::new(3);
    let n = AtomicUsize::new(0);
    pool.run(6, &|_| {
        let me = std::thread::current().id();
        pool.run(5, &|_| {
            assert_eq!(std::thread::current().id(), me);
            n.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(n.into_inner(), 30);
}

#[test]
fn callers_from_several_threads_take_turns() {
    let pool = Pool::new(2);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let n = AtomicUsize::new(0);
                    pool.run(9, &|_| {
                        n.fetch_add(1, Ordering::Relaxed);
                    });
                    assert_eq!(n.into_inner(), 9);
                }
            });
        }
    });
}

#[test]
fn chunks_cover_the_slices() {
    let pool = Pool::new(2);
    let mut a = vec![0usize; 103];
    pool.chunks_mut(&mut a, 10, |i, part| part.iter_mut().for_each(|x| *x = i));
    assert!(a.iter().enumerate().all(|(j, &x)| x == j / 10));
    let (mut b, mut c) = (vec![0u8; 21], vec![0f32; 11]);
    pool.chunks_mut3((&mut a, 10), (&mut b, 2), (&mut c, 1), |i, a, b, c| {
        a.fill(i + 1);
        b.fill(i as u8);
        c.fill(i as f32);
    });
    assert_eq!((a[102], b[20], c[10]), (11, 10, 10.0));
    pool.chunks_mut2((&mut b, 4), (&mut c, 2), |_, b, c| (b[0], c[0]) = (99, -1.0));
}
