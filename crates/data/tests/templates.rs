//! Chat templates: what transformers makes of them, and what hostile ones come to. `xtask/templates.py` makes the figures.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use data::chat::{ChatTemplate, Message, Moment, Surroundings};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(name)).unwrap()).unwrap()
}

/// 2026-02-03 14:05:06
const NOW: Moment = Moment { seconds: 1_770_127_506 };

fn around() -> Surroundings {
    let special = [("bos_token", "<s>"), ("eos_token", "</s>")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let variables = vec![("enable_thinking".to_owned(), json!(false))];
    Surroundings { special: special.to_vec(), now: NOW, variables, memory: None }
}

fn template(source: &str) -> data::Result<ChatTemplate> {
    ChatTemplate::new(source, Path::new("chat_template.jinja"))
}

#[test]
fn templates_render_as_in_transformers() {
    let expected = read("expected.json");
    let conversations = read("conversations.json");
    for (name, rows) in expected.as_object().unwrap() {
        let source = std::fs::read_to_string(folder().join(format!("{name}.jinja"))).unwrap();
        let template = template(&source).unwrap();
        for (i, row) in rows.as_array().unwrap().iter().enumerate() {
            let made = template.render_json(&conversations[i / 2], i % 2 == 1, &around());
            match (row, made) {
                (Value::String(text), Ok(made)) => assert_eq!(&made, text, "{name}, conversation {}", i / 2),
                (refused, Err(error)) => {
                    let message = refused["refused"].as_str().unwrap_or_else(|| panic!("{name}, {i}: {error}"));
                    assert!(error.exit_code() == 65 && error.to_string().contains(message), "{name}: {error}");
                }
                (row, Ok(made)) => panic!("{name}, conversation {}: expected {row}, made {made:?}", i / 2),
            }
        }
    }
}

#[test]
fn messages_are_role_and_content() {
    let messages = [Message { role: "user".into(), content: "Hi".into() }];
    let text = template("{{ bos_token }}{{ messages[0].role }}: {{ messages[0]['content'] }}").unwrap();
    assert_eq!(text.render(&messages, true, &around()).unwrap(), "<s>user: Hi");
}

#[test]
fn dates_are_those_of_the_calendar() {
    let at = |seconds: i64, format: &str| Moment { seconds }.format(format).unwrap();
    assert_eq!(at(0, "%Y-%m-%d %H:%M:%S %A"), "1970-01-01 00:00:00 Thursday");
    assert_eq!(at(1_770_127_506, "%d %b %Y %I:%M %p, %B %-d, %a %F %T %y %%"), {
        "03 Feb 2026 02:05 PM, February 3, Tue 2026-02-03 14:05:06 26 %"
    });
    assert_eq!(at(951_782_400, "%F"), "2000-02-29");
    assert_eq!(at(4_107_542_400, "%F"), "2100-03-01");
    assert_eq!(at(-1, "%F %T"), "1969-12-31 23:59:59");
    assert!(Moment::default().format("%Q").is_err());
}

/// Each would take forever, or all memory, without a limit.
#[test]
fn hostile_templates_end_soon_with_65() {
    let deep = |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
    let cases = [
        ("loop in loop", "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}".to_owned()),
        ("repetition", "{{ 'x' * 100000000000 }}".to_owned()),
        ("doubling", "{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(200) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}".to_owned()),
        ("replace", "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x.replace('a', 'aaaaaaaaaa') %}{% endfor %}".to_owned()),
        ("recursion", "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}".to_owned()),
        ("nested blocks", deep("{% if true %}", "{% endif %}", 2_500)),
        ("nested brackets", format!("{{{{ {} }}}}", deep("(", ")", 30_000))),
        ("nested lists", format!("{{{{ {} }}}}", deep("[", "]", 30_000))),
        ("nested negation", format!("{{{{ {}x }}}}", "not ".repeat(16_000))),
        ("signs", format!("{{{{ {}x.y.z }}}}", "-".repeat(65_000))),
        ("attributes", format!("{{{{ x{} }}}}", ".a".repeat(32_000))),
        ("filters", format!("{{{{ x{} }}}}", "|f".repeat(32_000))),
        ("sums", format!("{{{{ x{} }}}}", "+x".repeat(32_000))),
        ("power", "{{ 10 ** 400 ** 400 }}".to_owned()),
        ("padding", "{{ 'x'|center(99999999999) }}{{ '%099999999999d'|format(1) }}".to_owned()),
        ("nested value", "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}".to_owned()),
        ("nested value as text", "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% for j in range(20) %}{% set ns.x = [ns.x] %}{% endfor %}{% endfor %}{{ ns.x }}{{ 'x' * 100000000000 }}".to_owned()),
        ("file", "{% include '/etc/passwd' %}".to_owned()),
        ("import", "{% from 'x' import y %}".to_owned()),
        ("unfinished", "{% for m in messages %}".to_owned()),
        ("a tag that ends where it begins", "{%} x %}".to_owned()),
        ("unknown tag", "{% frobnicate %}".to_owned()),
        ("unknown filter", "{{ 1 | frobnicate }}".to_owned()),
        ("attribute of nothing", "{{ nothing.at.all }}".to_owned()),
        ("too long", "x".repeat(2 << 20)),
    ];
    for (name, source) in cases {
        let began = Instant::now();
        eprintln!("{name}");
        let error = template(&source).and_then(|t| t.render(&[], true, &around())).map(|text| text.len()).unwrap_err();
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(error.exit_code(), 65, "{name}");
        let text = error.to_string();
        assert!(text.contains("chat_template.jinja") && text.len() < 600, "{name}: {text:.600}");
        // of the processor it is one at most, of a busy machine's clock it may be many
        assert!(seconds < 25.0, "{name}: {seconds} s");
    }
}

/// By the count of what was done, which is the same on every machine: only then an error knows its line.
#[test]
fn what_is_wider_than_its_memory_ends_for_want_of_fuel() {
    let twice = |what: &str, then: &str| {
        format!(
            "{{% set ns = namespace(x=[1]) %}}{{% for i in range(30) %}}{{% set ns.x = {what} %}}{{% endfor %}}{{{{ {then} }}}}"
        )
    };
    let cases = [
        twice("ns.x + ns.x", "ns.x"),
        twice("ns.x + ns.x", "ns.x | string | length"),
        twice("[ns.x, ns.x]", "ns.x"),
        twice("{'a': ns.x, 'b': ns.x}", "ns.x"),
        twice("[ns.x, ns.x]", "ns.x | tojson"),
        "{% set x = 'a' * 10000000 %}{% for i in range(9) %}{{ x.split('a') | length }}{% endfor %}".to_owned(),
        "{% set x = 'a' * 10000000 %}{% for i in range(9) %}{{ x | split('a') | length }}{% endfor %}".to_owned(),
        "{% set x = '\n' * 10000000 %}{% for i in range(9) %}{{ x | lines | length }}{{ x.splitlines() }}{% endfor %}".to_owned(),
    ];
    for source in cases {
        let error = template(&source).and_then(|t| t.render(&[], true, &around())).map(|text| text.len()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(", line ") && text.contains("makes too much"), "{source}: {text}");
    }
    let lists = template("{{ [1, ['a', {'b': none}]] }}{{ 'a b'.split() }}{{ [2] | string }}{{ 'a,b' | split(',') }}").unwrap();
    assert_eq!(lists.render(&[], true, &around()).unwrap(), "[1, ['a', {'b': None}]]['a', 'b'][2]['a', 'b']");
}
