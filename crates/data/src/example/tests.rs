use super::*;

fn parse(form: &mut Option<Form>, text: &str) -> Result<Content> {
    match Form::parse(form, Path::new("d.jsonl"), 7, text)? {
        Line::Learned(content) => Ok(content),
        Line::Text(text) => Ok(Content::Completion { prompt: String::new(), completion: text.into_owned() }),
    }
}

fn messages(turns: &[(&str, &str)]) -> Content {
    let message = |(role, content): &(&str, &str)| Message { role: (*role).to_owned(), content: (*content).to_owned() };
    Content::Messages(turns.iter().map(message).collect())
}

fn example(content: Content) -> Example {
    Example { path: Path::new("d.jsonl").into(), line: 7, content }
}

fn chat(source: &str) -> Chat {
    Chat::new(ChatTemplate::new(source, Path::new("t.jinja")).unwrap(), Vec::new())
}

const CHATML: &str = include_str!("../../tests/templates/chatml.jinja");

#[test]
fn each_form_is_told_by_its_keys() {
    let mut form = None;
    let content = parse(&mut form, r#"{"prompt": "a ", "completion": "b", "id": 3}"#).unwrap();
    assert_eq!(content, Content::Completion { prompt: "a ".into(), completion: "b".into() });
    assert_eq!(form, Some(Form::Completion));
    let mut form = None;
    let content = parse(&mut form, r#"{"messages": [{"role": "user", "content": "Hi", "name": "x"}]}"#).unwrap();
    assert_eq!((content, form), (messages(&[("user", "Hi")]), Some(Form::Messages)));
    let mut form = None;
    parse(&mut form, r#"{"text": "a", "prompt": 5, "messages": null}"#).unwrap();
    assert_eq!(form, Some(Form::Text), "other fields of a text are its own affair");
}

#[test]
fn mixed_and_wrong_lines_name_what_was_found() {
    let cases = [
        (
            Some(Form::Completion),
            r#"{"text": "x", "n": 1}"#,
            vec!["line 7", "\"text\", \"n\"", "\"completion\", as in the lines before"],
        ),
        (Some(Form::Text), r#"{"prompt": "x", "completion": "y"}"#, vec!["line 7", "\"prompt\"", "\"text\", as in the lines"]),
        (Some(Form::Messages), r#"{"messages": [{"role": "user"}]}"#, vec!["missing field `content`"]),
        (None, r#"{"body": "x"}"#, vec!["the keys \"body\"", "or with \"messages\""]),
        (None, r#"{"prompt": "x", "completion": 1}"#, vec!["string fields \"prompt\" and \"completion\""]),
        (None, r#"{"prompt": "x"}"#, vec!["the keys \"prompt\""]),
        (None, "[1]", vec!["line 7", "expected a JSON object"]),
    ];
    for (mut form, text, words) in cases {
        let error = parse(&mut form, text).unwrap_err();
        assert_eq!(error.exit_code(), 65);
        for word in words {
            assert!(error.to_string().contains(word), "no `{word}` in: {error}");
        }
    }
    let plain = Form::plain(&mut Some(Form::Messages), Path::new("x.txt")).unwrap_err();
    assert!(plain.exit_code() == 65 && plain.to_string().contains("x.txt"), "{plain}");
}

#[test]
fn replies_are_learned_and_nothing_else() {
    let turns = [("system", "S"), ("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D")];
    let segments = example(messages(&turns)).segments(Some(&chat(CHATML))).unwrap();
    let learned: Vec<&str> = segments.iter().filter(|s| s.learned).map(|s| s.text.as_str()).collect();
    assert_eq!(learned, ["B<|im_end|>\n", "D<|im_end|>\n"]);
    let whole: String = segments.iter().map(|s| s.text.as_str()).collect();
    let turn = |(role, content): &(&str, &str)| format!("<|im_start|>{role}\n{content}<|im_end|>\n");
    assert_eq!(whole, turns.iter().map(turn).collect::<String>());
    let open = example(messages(&turns[..4])).segments(Some(&chat(CHATML))).unwrap();
    assert!(open.last().is_some_and(|s| !s.learned && s.text.contains('C')));
    assert!(example(messages(&[])).segments(Some(&chat(CHATML))).unwrap().is_empty());
}

#[test]
fn a_template_that_rewrites_earlier_turns_is_refused() {
    let turns = [("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D")];
    let forgets =
        "{% for m in messages %}{% if loop.last or m.role == 'user' %}{{ m.content }}{% else %}-{% endif %};{% endfor %}";
    let error = example(messages(&turns)).segments(Some(&chat(forgets))).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.exit_code(), 65);
    for word in ["d.jsonl, line 7", "does not begin with its text of the messages before", "--template FILE"] {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
    let qwen3 = include_str!("../../tests/templates/qwen3.jinja");
    let thinks = [("user", "A"), ("assistant", "<think>\nx\n</think>\n\nB"), ("user", "C"), ("assistant", "D")];
    let error = example(messages(&thinks)).segments(Some(&chat(qwen3))).unwrap_err().to_string();
    assert!(error.contains("does not begin with"), "{error}");
    let none = example(messages(&turns)).segments(None).unwrap_err();
    assert!(none.exit_code() == 65 && none.to_string().contains("--template"), "{none}");
}
