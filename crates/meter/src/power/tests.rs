#![allow(clippy::unwrap_used)]
use super::*;

fn reading(seconds: f64, joules: f64) -> Reading {
    Reading { seconds, joules: vec![joules] }
}

#[test]
fn what_is_taken_at_rest_is_taken_off() {
    // 5 W at rest, 4 to 6 from sample to sample; then 20 W for 10 s
    let rest = [reading(0.0, 0.0), reading(1.0, 4.0), reading(2.0, 10.0), reading(3.0, 14.0), reading(4.0, 20.0)];
    let idle = Idle::of(&rest);
    assert_eq!((idle.seconds, idle.watts[0]), (4.0, 5.0));
    assert!((idle.se[0] - (4.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12, "{idle:?}");
    let work = Work::between(&rest[4], &reading(14.0, 220.0), &idle);
    assert_eq!((work.seconds, work.joules[0], work.beyond_idle[0]), (10.0, 200.0, 150.0));
    assert!((work.se[0] - 10.0 * idle.se[0]).abs() < 1e-12);
}

/// 12.568 W over 60 s and 1149 steps, 8.455 W at rest: published as "10.9 mJ a step", which is milliwatts over steps.
#[test]
fn joules_a_step_are_not_watts_a_step_and_rest_is_taken_off() {
    let idle = Idle { seconds: 60.0, watts: vec![8.455], se: vec![0.0] };
    let work = Work::between(&reading(0.0, 0.0), &reading(60.0, 12.568 * 60.0), &idle);
    let millijoules = 1e3 * work.beyond_idle[0] / 1149.0;
    assert!((millijoules - 214.8).abs() < 0.05, "{millijoules} mJ a step, not 10.9 (a unit error) nor 656 (rest included)");
}

#[test]
fn errors_of_means_are_those_of_the_textbook() {
    assert!((standard_error(&[1.0, 2.0, 3.0, 4.0]) - 0.6455).abs() < 1e-4);
    assert!(standard_error(&[1.0]).is_nan());
    assert!(Idle::of(&[reading(0.0, 0.0), reading(1.0, 5.0)]).se[0].is_nan());
    assert_eq!(Idle::of(&[]).watts, Vec::<f64>::new());
}

struct Fixed(&'static str, f64);

impl PowerMeter for Fixed {
    fn name(&self) -> String {
        self.0.to_owned()
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::new(self.0, true)]
    }

    fn joules(&mut self) -> Result<Vec<f64>, String> {
        if self.1 < 0.0 { Err("gone".to_owned()) } else { Ok(vec![self.1]) }
    }
}

#[test]
fn several_meters_are_read_as_one_and_fail_as_one() {
    let mut both = Together(vec![Box::new(Fixed("a", 1.0)), Box::new(Fixed("b", 2.0))]);
    assert_eq!((both.name(), both.joules().unwrap()), ("a, b".to_owned(), vec![1.0, 2.0]));
    assert_eq!(both.parts(), [Part::new("a", true), Part::new("b", true)]);
    both.0.push(Box::new(Fixed("c", -1.0)));
    assert_eq!(both.joules(), Err("gone".to_owned()));
}

#[test]
fn where_there_is_no_meter_each_is_named_with_the_way_to_it() {
    let nowhere = tempfile::tempdir().unwrap();
    let Err(missing) = open(nowhere.path(), Duration::from_millis(100)) else {
        return eprintln!("SKIPPED: what is missing: this machine has a meter");
    };
    for word in ["RAPL", "NVML", "IOReport", "powermetrics"] {
        assert!(missing.iter().any(|line| line.starts_with(word)), "{word} in {missing:?}");
    }
}
