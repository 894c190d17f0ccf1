#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use super::*;

fn step(n: u64) -> Event {
    Event::Step(Step {
        step: n,
        seconds: n as f64 * 0.1,
        tokens: n * 1280,
        loss: 9.7,
        lr: 1e-3,
        grad_norm: 1.25,
        tokens_per_second: 12_800.0,
        rss_bytes: 1 << 30,
        loss_se: 0.25,
        projected_gradient: None,
        local_loss: None,
        decided: Vec::new(),
    })
}

fn every_kind() -> Vec<Event> {
    vec![
        Event::Started(Started { model: "stories-1m".into(), threads: 2, ..Started::default() }),
        step(1),
        Event::Eval(Eval { step: 1, val_loss: 3.5, val_loss_se: 0.01, val_bpb: Some(0.9), ..Eval::default() }),
        Event::Saved(Saved { step: 1, path: "checkpoints/step-00000001".into(), ..Saved::default() }),
        Event::Sample(Sample { step: 1, text: "Once\nupon \"a\" time ü".into(), ..Sample::default() }),
        Event::Rollback(Rollback { step: 1, failed_step: 2, ..Rollback::default() }),
        Event::Warning(Warning { step: 1, message: "slow".into(), ..Warning::default() }),
        Event::Usage(Usage {
            step: 1,
            machine: Machine { cpu_percent: Some(198.0), ..Machine::default() },
            device: Some(DeviceUse { dispatches: 5, ..DeviceUse::default() }),
            ..Usage::default()
        }),
        Event::Resumed(Started { step: 1, ..Started::default() }),
        Event::Finished(Finished { step: 2, status: "done".into(), ..Finished::default() }),
    ]
}

fn write(path: &Path, events: &[Event]) {
    let mut log = EventLog::create(path).unwrap();
    events.iter().for_each(|e| log.append(e).unwrap());
}

#[test]
fn a_step_is_written_as_documented() {
    let line = serde_json::to_string(&step(3)).unwrap();
    assert_eq!(
        line,
        r#"{"type":"step","step":3,"seconds":0.30000000000000004,"tokens":3840,"loss":9.7,"lr":0.001,"grad_norm":1.25,"tokens_per_second":12800.0,"rss_bytes":1073741824,"loss_se":0.25}"#
    );
}

#[test]
fn what_is_not_finite_is_null_and_comes_back_as_nan() {
    let event = Event::Step(Step { loss: f64::NAN, lr: f32::INFINITY, grad_norm: f64::INFINITY, ..Step::default() });
    let line = serde_json::to_string(&event).unwrap();
    assert!(line.contains(r#""loss":null,"lr":null,"grad_norm":null"#), "{line}");
    let Event::Step(back) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
    assert!(back.loss.is_nan() && back.lr.is_nan() && back.grad_norm.is_nan());
}

#[test]
fn every_kind_of_event_survives_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    write(&path, &every_kind());
    let record = read(&path).unwrap();
    assert_eq!(record, Record { events: every_kind(), skipped: 0 });
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), every_kind().len(), "one line an event, whatever its text");
}

#[test]
fn readers_skip_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    write(&path, &[step(1), step(2)]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"{\"type\":\"step\"\n\xff\xfe\n{\"type\":\"from the future\",\"step\":3}\n\n");
    bytes.extend(vec![b'x'; 5 << 20]);
    bytes.push(b'\n');
    bytes.extend(serde_json::to_vec(&step(4)).unwrap());
    std::fs::write(&path, &bytes).unwrap();
    let record = read(&path).unwrap();
    assert_eq!(record.events, [step(1), step(2), step(4)]);
    assert!(record.skipped >= 4, "{}", record.skipped);
}

#[test]
fn a_resume_numbers_steps_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut all = vec![every_kind()[0].clone()];
    all.extend((1..=7).map(step));
    all.push(Event::Finished(Finished { step: 7, ..Finished::default() }));
    write(&path, &all);
    let mut log = EventLog::resume(&path, 5).unwrap();
    log.append(&step(6)).unwrap();
    let steps: Vec<u64> = read(&path).unwrap().events.iter().map(Event::step).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_finished_run_that_goes_on_has_one_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let end = Event::Finished(Finished { step: 2, ..Finished::default() });
    write(&path, &[step(1), step(2), end.clone()]);
    let mut log = EventLog::resume(&path, 2).unwrap();
    log.append(&step(3)).unwrap();
    log.append(&end).unwrap();
    assert_eq!(read(&path).unwrap().events, [step(1), step(2), step(3), end]);
}

#[test]
fn a_torn_line_is_dropped_wherever_it_was_torn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    write(&path, &[step(1), step(2)]);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
    for cut in [first, first + 1, first + 20, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut log = EventLog::resume(&path, 2).unwrap();
        log.append(&step(2)).unwrap();
        assert_eq!(read(&path).unwrap(), Record { events: vec![step(1), step(2)], skipped: 0 }, "cut at {cut}");
    }
}

#[test]
fn a_resume_keeps_lines_byte_for_byte_and_starts_a_missing_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let odd = b"{ \"type\":\"later version\", \"step\": 1, \"x\": 0.10 }\n";
    std::fs::File::create(&path).unwrap().write_all(odd).unwrap();
    drop(EventLog::resume(&path, 1).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), odd);
    let missing = dir.path().join("none.jsonl");
    drop(EventLog::resume(&missing, 1).unwrap());
    assert!(read(&missing).unwrap().events.is_empty());
}

#[test]
fn a_full_or_missing_place_is_an_error_with_its_file() {
    let error = EventLog::create(Path::new("/nonexistent/events.jsonl")).err().unwrap();
    assert_eq!(error.exit_code(), 73);
    assert!(error.to_string().contains("/nonexistent/events.jsonl"), "{error}");
    if Path::new("/dev/full").exists() {
        let mut log = EventLog::create(Path::new("/dev/full")).unwrap();
        assert_eq!(log.append(&step(1)).err().unwrap().exit_code(), 74);
    } else {
        eprintln!("SKIPPED: append to a full disk: no /dev/full");
    }
}
