//! The numbers in the pages of `docs` are those of the records and of the studies' pages.

use super::{interval, numbers, read, rows};
use serde_json::Value as Json;

/// The words of a page, whatever its lines are.
fn words(page: &str) -> String {
    read(page).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cells of the tables of `page` from the heading `from` on, to the next.
fn tables(page: &str, from: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let lines = text.lines().skip_while(|l| *l != from).skip(1).take_while(|l| !l.starts_with("## "));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.filter(|l| l.starts_with('|')).map(cells).collect()
}

/// `0.076 ± 0.015` in `cell`, which may say more after it.
fn stated(cell: &str) -> Option<String> {
    let mut words = cell.split_whitespace();
    let (mean, sign, half) = (words.next()?, words.next()?, words.next()?);
    (sign == "±").then(|| format!("{mean} ± {half}"))
}

fn lower(row: &Json) -> Vec<f64> {
    let start = row["start"].as_f64().unwrap();
    numbers(row, "end").iter().map(|end| start - end).collect()
}

/// Whether `0.076 ± 0.015` is the mean of `values` and half of their interval, which may be rounded up.
fn fits(stated: &str, values: &[f64]) -> bool {
    let (mean, half) = interval(values);
    let digits = stated.split(' ').next().and_then(|mean| mean.split_once('.')).map_or(0, |(_, digits)| digits.len());
    let unit = 10f64.powi(digits as i32);
    let halves = [half, (half * unit).ceil() / unit];
    halves.iter().any(|half| stated == format!("{mean:.digits$} ± {half:.digits$}"))
}

/// `1,500 steps` as a number of steps.
fn steps_of(heading: &str) -> Option<u64> {
    heading.strip_suffix(" steps")?.replace(',', "").parse().ok()
}

/// A row of the record is a cell: where its method and rate meet its steps. What was cut off says so there.
#[test]
fn the_table_of_the_ceiling_is_that_of_its_record() {
    let (found, records) = (tables("docs/methods.md", "## Is there a ceiling?"), rows("zo-ceiling"));
    let (head, lines) = found.split_first().unwrap();
    let mut cells = 0;
    for line in &lines[1..] {
        for (heading, cell) in head.iter().zip(line) {
            let (Some(steps), Some(stated)) = (steps_of(heading), stated(cell)) else { continue };
            cells += 1;
            let method = line[0].replace("backpropagation", "backprop");
            let of = |row: &&Json| {
                row["steps"] == steps
                    && method.starts_with(row["method"].as_str().unwrap().split(',').next().unwrap())
                    && method.contains(row["optimizer"].as_str().unwrap())
                    && line.iter().any(|c| *c == row["learning_rate"].as_str().unwrap())
            };
            let row = records.iter().find(of).unwrap_or_else(|| panic!("`{}` after {steps} steps is in no record", line[0]));
            assert!(fits(&stated, &lower(row)), "{} after {steps} steps: {:?}", line[0], interval(&lower(row)));
            assert_eq!(row["unfinished"].is_string(), cell.contains("cut off"), "{}: {cell}", line[0]);
        }
    }
    assert_eq!(cells, records.len(), "each row of the record is in the table once");
}

/// Every `x ± y` of the section is of the record: of a row, of two rows or two evaluations of one, seed by seed.
#[test]
fn what_is_said_of_the_ceiling_follows_from_its_record() {
    let records = rows("zo-ceiling");
    let curve = |row: &Json| row["curve"].as_array().unwrap().iter().map(|point| numbers(point, 1)).collect::<Vec<_>>();
    let mut sets: Vec<Vec<Vec<f64>>> = records.iter().map(curve).collect();
    sets.push(records.iter().map(|row| numbers(row, "end")).collect());
    let differs = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let pairs = sets.iter().flat_map(|set| set.iter().flat_map(move |a| set.iter().map(move |b| differs(a, b))));
    let found: Vec<Vec<f64>> = pairs.chain(records.iter().map(lower)).collect();
    let text = words("docs/methods.md");
    let section = text.split_once("## Is there a ceiling?").unwrap().1.split(" ## ").next().unwrap();
    let said: Vec<&str> = section.split(' ').collect();
    for at in said.windows(3).filter(|at| at[1] == "±") {
        let (mean, half) = (at[0], at[2].trim_end_matches([',', ';', '.', ')']));
        let stated = format!("{mean} ± {half}");
        assert!(found.iter().any(|values| fits(&stated, values)), "{stated} follows from no record");
    }
}

/// A change, what is lost without it and its 95% interval, on the page of a study.
fn loss_without(page: &str, change: &str) -> [f64; 3] {
    let html = read(page);
    let row = html.lines().find_map(|l| l.strip_prefix(&format!("<tr><td>{change}</td>"))).unwrap();
    let cell = row.split("<td class=\"n\">").find(|c| c.contains(" to ")).unwrap().split('<').next().unwrap();
    let values = cell.split(['(', ')', ' ']).filter_map(|word| word.parse().ok()).collect::<Vec<f64>>();
    values.try_into().unwrap()
}

/// To three digits, halves upwards as by hand: the page has four.
fn rounded(value: f64) -> String {
    format!("{:.3}", (value * 1000.0 + 1e-6).round() / 1000.0)
}

#[test]
fn what_is_told_of_the_studies_stands_on_their_pages() {
    let told = [
        ("forty-trials", "all changes", &["README.md", "docs/search.md"][..]),
        ("hour", "all changes", &["README.md", "docs/search.md"]),
        ("hour", "depth", &["docs/search.md"]),
        ("hour", "dim", &["docs/search.md"]),
        ("hour", "learning-rate", &["README.md"]),
    ];
    for (study, change, pages) in told {
        let [mean, low, high] = loss_without(&format!("docs/studies/{study}.html"), change).map(rounded);
        for page in pages {
            let words = words(page);
            let before = words.split_once(&format!("{low} to {high})")).map_or("", |(before, _)| before);
            let told = before.rsplit(' ').take(16).any(|word| word.trim_matches(['(', ',']) == mean);
            assert!(told, "{page} does not say {mean} ({low} to {high}) of {study}, {change}");
        }
    }
}

#[test]
fn the_simulations_that_are_told_are_those_of_the_record() {
    let found = tables("docs/search.md", "## Simulations");
    let records = rows("simulations");
    assert_eq!(found.len(), 2 + records.len());
    for (line, row) in found[2..].iter().zip(&records) {
        let cell = |key: &str, digits: usize| match &row[key] {
            Json::Null => String::new(),
            // what is kept where nothing helps gains nothing, by definition
            value => value.as_str().map_or_else(|| format!("{:.digits$}", value.as_f64().unwrap()), str::to_owned),
        };
        let said = [row["world"].as_str().unwrap().to_owned(), cell("false_keep", 4), cell("gain", 4)];
        let greedy = [cell("greedy_false_keep", 3), cell("greedy_claim", 3), cell("greedy_gain", 4)];
        assert_eq!(line[..], [said, greedy].concat());
    }
}

#[test]
fn the_power_that_is_told_is_that_of_the_record() {
    let (found, records) = (tables("docs/search.md", "## Stated power"), rows("power"));
    assert_eq!(found.len(), 2 + records.len());
    for (line, row) in found[2..].iter().zip(&records) {
        let cell = |key: &str, digits: usize| format!("{:.digits$}", row[key].as_f64().unwrap());
        let seeds = row["seeds"].as_str().unwrap().to_owned();
        let ours = [cell("gain", 4), cell("found", 3), cell("of_nothing", 4)];
        let greedy = [cell("greedy_found", 3), cell("greedy_of_nothing", 3)];
        assert_eq!(line[..], [&[seeds][..], &ours, &greedy].concat());
    }
}

/// Means over all steps, and without the slowest tenth, each with half of its 95% interval.
#[test]
fn what_recording_is_said_to_cost_was_measured() {
    let (watching, log) = (words("docs/watching.md"), words("LOG.md"));
    for row in rows("overhead") {
        let (all, trimmed) = (numbers(&row, "all"), numbers(&row, "trimmed"));
        let said = |v: &[f64]| format!("{:.2} ± {:.2}%", v[0], v[1]);
        let of = format!("steps of {:.0} ms", row["step_ms"].as_f64().unwrap());
        let told = format!("{} of {of} ({} without the slowest tenth)", said(&all), said(&trimmed));
        for (name, page) in [("docs/watching.md", &watching), ("LOG.md", &log)] {
            assert!(page.contains(&told), "{name} does not say: {told}");
        }
    }
}
