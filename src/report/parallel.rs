//! Parallel coordinates as inline SVG: an axis for each quantity, a line for each configuration.

use super::page::escape;
use super::svg::{COLOURS, SIZE, line, path, text};

/// Left and right of the outer axes: half the width of a name.
const SIDE: f64 = 50.0;
/// Room that a name takes across.
const NAME: f64 = 96.0;
/// Height of a line of text.
const ROW: f64 = 13.0;

/// One axis: its name, and the words at its ends.
#[derive(Clone, Debug)]
pub struct Scale {
    /// What it is.
    pub name: String,
    /// At the bottom.
    pub low: String,
    /// At the top.
    pub high: String,
}

/// One configuration.
#[derive(Clone, Debug)]
pub struct Strand {
    /// Its place on each axis, in [0, 1].
    pub places: Vec<f64>,
    /// Which of the [`COLOURS`].
    pub colour: usize,
    /// Drawn in full, above the others.
    pub strong: bool,
}

/// The picture.
#[derive(Clone, Debug, Default)]
pub struct Parallel {
    /// From left to right.
    pub axes: Vec<Scale>,
    /// Configurations.
    pub strands: Vec<Strand>,
}

impl Parallel {
    /// As an `<svg>` element.
    pub fn svg(&self, title: &str) -> String {
        let [w, h] = SIZE;
        let spacing = (w - 2.0 * SIDE) / (self.axes.len().max(2) - 1) as f64;
        // names of neighbours stand on different rows where one row is too narrow
        let rows = (NAME / spacing).ceil().max(1.0) as usize;
        let (top, bottom) = (8.0 + 2.0 * ROW * rows as f64, h - 6.0 - ROW * rows as f64);
        let x = |i: usize| SIDE + spacing * i as f64;
        let y = |u: f64| bottom - (bottom - top) * if u.is_finite() { u.clamp(0.0, 1.0) } else { 0.5 };
        let mut svg = format!(r#"<svg viewBox="0 0 {w} {h}" role="img" aria-label="{}">"#, escape(title));
        for (i, axis) in self.axes.iter().enumerate() {
            let row = (i % rows) as f64;
            svg += &line([x(i), top], [x(i), bottom], "axis");
            svg += &text(x(i), ROW * (2.0 * row + 1.0), "middle", &clipped(&axis.name));
            svg += &text(x(i), ROW * (2.0 * row + 2.0), "middle", &clipped(&axis.high));
            svg += &text(x(i), bottom + ROW * (row + 1.0), "middle", &clipped(&axis.low));
        }
        for strong in [false, true] {
            for strand in self.strands.iter().filter(|s| s.strong == strong) {
                let points = path(strand.places.iter().take(self.axes.len()).enumerate().map(|(i, &u)| [x(i), y(u)]));
                let (class, faint) = (strand.colour % COLOURS, if strong { "" } else { " faint" });
                svg += &format!(r#"<polyline class="line s{class}{faint}" points="{points}"/>"#);
            }
        }
        svg + "</svg>"
    }
}

/// At most as many letters as a name has room for.
fn clipped(name: &str) -> String {
    match name.chars().count() {
        0..=15 => name.to_owned(),
        _ => name.chars().take(14).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_is_a_line_and_names_are_escaped() {
        let axis = |name: &str| Scale { name: name.into(), low: "0".into(), high: "1".into() };
        let strand = |strong| Strand { places: vec![0.0, f64::NAN, 2.0], colour: 9, strong };
        let all = Parallel { axes: vec![axis("<b>"), axis("b"), axis("c")], strands: vec![strand(true), strand(false)] };
        let svg = all.svg("\"t\"");
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("<b>"), "{svg}");
        assert!(svg.find("faint") < svg.rfind("<polyline"), "what is kept lies above");
        assert!(Parallel::default().svg("").ends_with("</svg>"));
    }
}
