#![allow(clippy::unwrap_used)]
use std::time::{Duration, Instant};

use super::*;
use crate::{Param, Space};

fn space() -> Space {
    Space { params: vec![Param::parse("lr=1e-4..1e-2:log").unwrap(), Param::parse("d=x|y").unwrap()] }
}

fn journal(dir: &Path, worker: &str) -> Journal {
    Journal::open(&dir.join("journal.log"), "s", worker).unwrap()
}

fn begun(dir: &Path) -> Journal {
    let j = journal(dir, "w1");
    j.write(vec![Op::CreateStudy { name: "s".into() }]).unwrap();
    j
}

#[test]
fn what_is_written_is_read_and_a_finished_trial_never_changes() {
    let dir = tempfile::tempdir().unwrap();
    let j = begun(dir.path());
    let mut ops = vec![Op::CreateTrial { study: 0 }];
    ops.extend(Op::params(0, &space(), &vec![1.234e-3, 1.0]));
    ops.push(Op::TrialAttr { trial: 0, key: "verdict".into(), value: "Keep".into() });
    ops.push(Op::SetState { trial: 0, state: TrialState::Complete, value: Some(2.5) });
    j.write(ops).unwrap();
    j.write(vec![
        Op::SetState { trial: 0, state: TrialState::Fail, value: None },
        Op::TrialAttr { trial: 0, key: "verdict".into(), value: "Revert".into() },
        Op::SetState { trial: 99, state: TrialState::Fail, value: None },
    ])
    .unwrap();
    let state = journal(dir.path(), "w2").state().unwrap();
    let trial = &state.trials[0];
    assert_eq!((trial.state, trial.value, trial.text("verdict")), (TrialState::Complete, Some(2.5), Some("Keep")));
    assert_eq!(trial.config(&space()).unwrap(), vec![1.234e-3, 1.0]);
}

#[test]
fn a_waiting_trial_goes_to_the_first_that_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (begun(dir.path()), journal(dir.path(), "w2"));
    let fixed = space().json(&[1e-3, 0.0]);
    a.write(vec![Op::Enqueue { study: 0, fixed, attrs: serde_json::json!({}) }]).unwrap();
    assert_eq!(a.state().unwrap().trials[0].fixed(&space()).unwrap(), vec![1e-3, 0.0]);
    for j in [&b, &a] {
        j.write(vec![Op::SetState { trial: 0, state: TrialState::Running, value: None }]).unwrap();
    }
    assert_eq!(a.state().unwrap().trials[0].worker, "w2");
}

#[test]
fn lines_of_python_with_bare_words_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.log");
    let text = concat!(
        "{\"op_code\":0,\"worker_id\":\"p\",\"study_name\":\"other\",\"directions\":[1]}\n",
        "{\"op_code\":0,\"worker_id\":\"p\",\"study_name\":\"s\",\"directions\":[1]}\n",
        "{\"op_code\":4,\"worker_id\":\"p\",\"study_id\":0,\"datetime_start\":\"x\"}\n",
        "{\"op_code\":4,\"worker_id\":\"p\",\"study_id\":1,\"datetime_start\":\"x\"}\n",
        "{\"op_code\":8,\"worker_id\":\"p\",\"trial_id\":1,\"user_attr\":{\"note\":\"NaN \\\" NaN\",\"x\":NaN}}\n",
        "{\"op_code\":6,\"worker_id\":\"p\",\"trial_id\":1,\"state\":1,\"values\":[-Infinity],\"datetime_complete\":\"y\"}\n",
        "{\"op_code\":10,\"anything\":1}\n",
    );
    std::fs::write(&path, text).unwrap();
    let state = journal(dir.path(), "w").state().unwrap();
    assert_eq!((state.study, state.trials.len(), state.next_trial()), (Some(1), 1, 2));
    let trial = &state.trials[0];
    assert_eq!((trial.id, trial.value, trial.text("note")), (1, Some(f64::NEG_INFINITY), Some("NaN \" NaN")));
}

#[test]
fn what_a_killed_writer_left_is_no_line_and_a_bad_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let j = begun(dir.path());
    let path = dir.path().join("journal.log");
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..40 {
        let mut torn = whole.clone();
        torn.extend_from_slice(&b"{\"op_code\":4,\"study_id\":0,\"datetime_start\":\"x\"}"[..cut]);
        std::fs::write(&path, &torn).unwrap();
        let j = journal(dir.path(), "w3");
        assert_eq!(j.state().unwrap().trials.len(), 0);
        let state = j.write(vec![Op::CreateTrial { study: 0 }]).unwrap();
        assert_eq!(state.trials.len(), 1, "{cut}");
    }
    std::fs::write(&path, [&whole[..], b"{\"op_code\":\n{}\n"].concat()).unwrap();
    let error = j.state().unwrap_err();
    assert!(error.to_string().contains("line 2") && error.exit_code() == 65, "{error}");
}

#[test]
fn a_lock_that_its_holder_keeps_is_waited_for_and_a_dead_ones_is_taken() {
    for kind in [LockKind::Symlink, LockKind::Open] {
        let dir = tempfile::tempdir().unwrap();
        let j = begun(dir.path()).with_lock(kind, Duration::from_millis(300));
        let lock = Lock::acquire(j.path(), kind, GRACE).unwrap();
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                drop(lock);
            });
            j.write(vec![Op::CreateTrial { study: 0 }]).unwrap();
        });
        assert!(start.elapsed() >= Duration::from_millis(100));
        std::mem::forget(Lock::acquire(j.path(), kind, GRACE).unwrap());
        let start = Instant::now();
        j.write(vec![Op::CreateTrial { study: 0 }]).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(300), "{kind:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left of the locks");
    }
}

#[test]
fn eight_workers_at_once_lose_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    begun(dir.path());
    std::thread::scope(|scope| {
        for w in 0..8 {
            let dir = dir.path();
            scope.spawn(move || {
                let j = journal(dir, &format!("w{w}"));
                for _ in 0..10 {
                    let (id, state) =
                        j.transact(|s| Ok::<_, SearchError>((vec![Op::CreateTrial { study: 0 }], s.next_trial()))).unwrap();
                    assert_eq!(state.trial(id).unwrap().worker, format!("w{w}"));
                }
            });
        }
    });
    assert_eq!(journal(dir.path(), "w").state().unwrap().trials.len(), 80);
}

#[test]
fn times_are_those_of_the_calendar() {
    assert_eq!(super::time::iso(0), "1970-01-01T00:00:00.000000+00:00");
    assert_eq!(super::time::iso(951_782_400_000_001), "2000-02-29T00:00:00.000001+00:00");
    assert_eq!(super::time::iso(1_795_651_199_999_999), "2026-11-25T23:59:59.999999+00:00");
}
