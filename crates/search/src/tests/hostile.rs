use crate::{Param, Shape, Space, Study};

fn sound() -> serde_json::Value {
    let space = Space { params: ["lr=1e-4..1e-2:log", "dim=16..64:16"].iter().map(|t| Param::parse(t).unwrap()).collect() };
    let shape = Shape { dim: 32, depth: 2, heads: 2, kv_heads: 1, head_dim: 16, hidden: 64 };
    serde_json::json!({
        "name": "s", "space": space, "baseline": [1e-3, 32.0], "shape": shape, "proportion": false, "objective": "val_loss",
        "budget": { "tokens": 64 }, "rules": { "alpha": 0.05, "min_effect": 0.0, "seeds": 2, "looks": 1, "max_pairs": 4 },
        "final_pairs": 8, "trials": 5, "sampler": "tpe", "seed": 0, "time_limit": null, "max_memory": null, "test_data": null,
        "branch": null, "train": [],
    })
}

#[test]
fn a_study_that_no_declaration_would_have_written_is_refused_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| {
        std::fs::write(dir.path().join("study.json"), bytes).unwrap();
        Study::load(dir.path())
    };
    assert!(read(sound().to_string().as_bytes()).is_ok(), "a study of before there was `equal` too");
    let terminal = sound().to_string().replacen("float", "flo\\u0000\\u001b[2J", 1).into_bytes();
    let mut texts = vec![terminal, b"{\"name\": \"\xff\"}".to_vec(), b"[".repeat(9_000), Vec::new()];
    for (place, value) in [
        ("/space/params/1/range/int/step", "0"),
        ("/space/params/1/range/int/low", "-9223372036854775808"),
        ("/space/params/0/range/float/low", "0.0"),
        ("/space/params/0/name", "\"dim\""),
        ("/baseline/0", "1e300"),
        ("/baseline", "[]"),
        ("/rules/looks", "18446744073709551615"),
        ("/rules/max_pairs", "1"),
        ("/rules/alpha", "0.9"),
        ("/shape/head_dim", "18446744073709551615"),
        ("/budget", "{\"clock\": -1.0}"),
        ("/time_limit", "0.0"),
    ] {
        let mut study = sound();
        *study.pointer_mut(place).unwrap() = serde_json::from_str(value).unwrap();
        texts.push(study.to_string().into_bytes());
    }
    for text in texts {
        let error = read(&text).expect_err(&String::from_utf8_lossy(&text));
        assert_eq!(error.exit_code(), 65, "{error}");
        assert!(error.to_string().contains("study.json: line "), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}
