//! Screens as a terminal would show them, and what the keys do.
#![allow(clippy::unwrap_used)]

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use train::events::{DeviceUse, Eval, EventLog, Finished, Machine, Sample, Started, Step, Usage};

use super::*;

fn write(run: &Path, end: f64) {
    std::fs::create_dir_all(run).unwrap();
    let mut log = EventLog::create(&run.join("events.jsonl")).unwrap();
    let mut put = |e: train::events::Event| log.append(&e).unwrap();
    put(train::events::Event::Started(Started {
        model: "stories-1m".into(),
        params: 1_100_000,
        device: "cpu".into(),
        method: "backprop".into(),
        ..Started::default()
    }));
    for step in 1..=60u64 {
        let loss = end + 5.0 * (-(step as f64) / 15.0).exp();
        put(train::events::Event::Step(Step {
            step,
            loss,
            seconds: step as f64 * 0.5,
            tokens: step * 1024,
            lr: 1e-3,
            grad_norm: 1.5,
            tokens_per_second: 2000.0,
            rss_bytes: 140_000_000,
            ..Step::default()
        }));
        if step % 20 == 0 {
            put(train::events::Event::Eval(Eval {
                step,
                val_loss: loss + 0.1,
                val_loss_se: 0.02,
                val_bpb: Some(1.25),
                ..Eval::default()
            }));
        }
    }
    for (seconds, cpu) in [(10.0, 190.0), (20.0, 195.0)] {
        put(train::events::Event::Usage(Usage {
            step: 40,
            seconds,
            steps: (seconds * 2.0) as u64,
            step_seconds: seconds,
            gradient_seconds: 0.9 * seconds,
            optimizer_seconds: 0.05 * seconds,
            machine: Machine { cpu_percent: Some(cpu), celsius: Some(61.0), watts: Some(28.5), ..Machine::default() },
            device: Some(DeviceUse { compiles: 12, dispatches: 345, evaluate_seconds: 1.0, flops: 2e11, ..DeviceUse::default() }),
            ..Usage::default()
        }));
    }
    put(train::events::Event::Sample(Sample {
        step: 60,
        text: "Once \u{1b}[31mred\u{202e} there was a cat.".into(),
        ..Sample::default()
    }));
    put(train::events::Event::Finished(Finished { step: 60, status: "done".into(), ..Finished::default() }));
}

fn press(app: &mut App, code: KeyCode) -> bool {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn two_runs() -> (tempfile::TempDir, App) {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("first"), 2.0);
    write(&dir.path().join("second"), 1.5);
    let app = App::new(dir.path(), true);
    (dir, app)
}

#[test]
fn the_views_in_80x24() {
    let (_dir, mut app) = two_runs();
    let screen = plain(&app, (80, 24)).unwrap();
    let wanted = [
        "stories-1m",
        "? keys",
        "loss, nats a token",
        "tokens/s",
        "learning rate",
        "gradient norm",
        "validation",
        "bits a byte",
        "q quit",
    ];
    for text in wanted {
        assert!(screen.contains(text), "no {text:?} in\n{screen}");
    }
    assert!(screen.lines().all(|l| l.chars().count() <= 80));
    assert!(screen.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "no curve in\n{screen}");
    let views = [
        ('2', ["forward, backward", "28.5 W", "61 Celsius", "345", "195% of one"]),
        ('3', ["sample after step 60", "there was a cat", "3 text", "done", "q quit"]),
        ('4', ["started stories-1m", "validation loss", "wrote a sample", "ended: done", "log"]),
        ('5', ["first", "second", "to shown", "±", "runs"]),
    ];
    for (key, wanted) in views {
        press(&mut app, KeyCode::Char(key));
        let screen = plain(&app, (80, 24)).unwrap();
        for text in wanted {
            assert!(screen.contains(text), "view {key}: no {text:?} in\n{screen}");
        }
    }
}

#[test]
fn everything_at_once_in_200x60() {
    let (_dir, app) = two_runs();
    let screen = plain(&app, (200, 60)).unwrap();
    for text in
        ["loss, nats a token", "a step", "machine and device", "runs (space", "sample after", "log", "processor, %", "power, W"]
    {
        assert!(screen.contains(text), "no {text:?} in\n{screen}");
    }
}

#[test]
fn what_a_model_writes_moves_no_cursor() {
    let (_dir, mut app) = two_runs();
    press(&mut app, KeyCode::Char('3'));
    let screen = plain(&app, (80, 24)).unwrap();
    assert!(!screen.contains('\u{1b}') && !screen.contains('\u{202e}'), "{screen:?}");
}

#[test]
fn no_size_and_no_state_panics() {
    let (_dir, mut app) = two_runs();
    let empty = tempfile::tempdir().unwrap();
    let mut none = App::new(empty.path(), false);
    for size in [(1, 1), (5, 3), (40, 10), (81, 25), (151, 45), (400, 100)] {
        for view in '1'..='5' {
            press(&mut app, KeyCode::Char(view));
            press(&mut none, KeyCode::Char(view));
            plain(&app, size).unwrap();
            plain(&none, size).unwrap();
        }
    }
    app.scroll = usize::MAX;
    for view in '3'..='4' {
        press(&mut app, KeyCode::Char(view));
        app.scroll = usize::MAX;
        plain(&app, (80, 24)).unwrap();
    }
}

#[test]
fn keys_select_compare_and_leave() {
    let (dir, mut app) = two_runs();
    let shown = app.run().unwrap().name.clone();
    assert!(press(&mut app, KeyCode::Char(' ')) && press(&mut app, KeyCode::Down));
    assert_ne!(app.run().unwrap().name, shown);
    let drawn: Vec<&str> = app.drawn().iter().map(|r| r.name.as_str()).collect();
    assert_eq!(drawn.len(), 2);
    let screen = plain(&app, (80, 24)).unwrap();
    assert!(screen.contains(&format!("{shown} train")), "{screen}");
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(app.message, "nobody is training this run");
    press(&mut app, KeyCode::Char('?'));
    assert!(plain(&app, (80, 24)).unwrap().contains("a run does not notice"));
    assert!(!press(&mut app, KeyCode::Char('q')));
    write(&dir.path().join("third"), 1.0);
    for _ in 0..20 {
        app.look();
    }
    assert_eq!(app.runs.len(), 3, "a run that comes later is shown too");
}

#[test]
fn without_colour_there_is_none() {
    let (_dir, mut app) = two_runs();
    for (colour, none) in [(true, false), (false, true)] {
        app.colour = colour;
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| screen::draw(frame, &app)).unwrap();
        let plain = terminal.backend().buffer().content().iter().all(|c| c.fg == ratatui::style::Color::Reset);
        assert_eq!(plain, none);
    }
}
