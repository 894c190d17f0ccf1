//! Charts as inline SVG: lines, bands of error, dots.
//!
//! Only numbers and escaped labels get in; colours come from the classes of the page's style sheet (`s0` to `s7`), so one
//! chart serves light and dark. Names of the series stand beside the chart (`page::Page::chart`), where text cannot overlap.

use std::fmt::Write;

use super::page::escape;

/// Width and height in user units; the page scales them.
pub(super) const SIZE: [f64; 2] = [640.0, 280.0];
/// Left, top, right, bottom.
const MARGIN: [f64; 4] = [66.0, 12.0, 18.0, 44.0];
/// Most points of a line that are drawn; more are thinned by extremes, so that no spike is lost.
const DRAWN: usize = 1200;
/// Colours there are.
pub const COLOURS: usize = 8;

/// How the points of a series are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// A line through them.
    #[default]
    Line,
    /// A line and a dot at each: few points.
    Dotted,
    /// Dots alone.
    Dots,
}

/// Points of one kind.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// What they are.
    pub name: String,
    /// `[x, y]`; a point that is not finite breaks the line.
    pub points: Vec<[f64; 2]>,
    /// Half the height of the band around each point; empty: no band.
    pub band: Vec<f64>,
    /// How they are shown.
    pub mark: Mark,
    /// Which of the [`COLOURS`].
    pub colour: usize,
}

impl Series {
    /// A line.
    pub fn line(name: impl Into<String>, points: Vec<[f64; 2]>, colour: usize) -> Series {
        Series { name: name.into(), points, colour, ..Series::default() }
    }

    /// Dots alone.
    pub fn dots(name: impl Into<String>, points: Vec<[f64; 2]>, colour: usize) -> Series {
        Series { mark: Mark::Dots, ..Series::line(name, points, colour) }
    }

    /// Dotted points with a band of `half` around them.
    pub fn band(name: impl Into<String>, points: Vec<[f64; 2]>, half: Vec<f64>, colour: usize) -> Series {
        Series { band: half, mark: Mark::Dotted, ..Series::line(name, points, colour) }
    }
}

/// A chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x: String,
    /// Name and unit of the vertical axis.
    pub y: String,
    /// Logarithmic horizontal axis.
    pub log_x: bool,
    /// Logarithmic vertical axis.
    pub log_y: bool,
    /// What is in it.
    pub series: Vec<Series>,
}

/// One axis: a range of values, as they are or by their logarithm.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// The axis that holds `values`; none without a value that it can show.
    fn of(values: impl Iterator<Item = f64>, log: bool) -> Option<Axis> {
        let shown = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        let axis = Axis { low, high, log };
        Some(if log { axis.padded_log() } else { axis.padded() })
    }

    fn padded(self) -> Axis {
        let span = self.high - self.low;
        let pad = if span > 0.0 { 0.04 * span } else { 0.5 * self.low.abs().max(1e-9) };
        Axis { low: self.low - pad, high: self.high + pad, ..self }
    }

    fn padded_log(self) -> Axis {
        let pad = (self.high / self.low).powf(0.04).max(1.05);
        Axis { low: self.low / pad, high: self.high * pad, ..self }
    }

    /// 0 at the low end, 1 at the high one; none where the axis has no place.
    fn share(&self, v: f64) -> Option<f64> {
        let at =
            if self.log { (v / self.low).ln() / (self.high / self.low).ln() } else { (v - self.low) / (self.high - self.low) };
        at.is_finite().then_some(at)
    }

    fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        if self.log && decades >= 1.0 {
            let every = (decades / 5.0).ceil().max(1.0) as i32;
            let from = self.low.log10().ceil() as i32;
            return (0..8).map(|i| 10f64.powi(from + i * every)).filter(|t| *t <= self.high).collect();
        }
        let step = nice((self.high - self.low) / 5.0);
        let from = (self.low / step).ceil();
        (0..12).map(|i| (from + f64::from(i)) * step).filter(|t| *t <= self.high).collect()
    }
}

/// The round number (1, 2 or 5 times a power of ten) at or above `span`.
fn nice(span: f64) -> f64 {
    let power = 10f64.powf(span.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|r| r * power >= span * 0.999).unwrap_or(10.0);
    round * power
}

/// A number as short as an axis needs it.
pub fn short(v: f64) -> String {
    let size = v.abs();
    if v == 0.0 || size < 1e-300 {
        return "0".to_owned();
    }
    for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")] {
        if size >= unit {
            let scale = if name == "k" { 1e3 } else { unit };
            return format!("{}{name}", trimmed(format!("{:.2}", v / scale)));
        }
    }
    if size < 1e-3 {
        return format!("{v:.1e}").replace(".0e", "e");
    }
    trimmed(format!("{v:.4}"))
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl Chart {
    /// Whether there is anything to draw.
    pub fn is_empty(&self) -> bool {
        self.axes().is_none()
    }

    fn axes(&self) -> Option<(Axis, Axis)> {
        let xs = self.series.iter().flat_map(|s| s.points.iter().map(|p| p[0]));
        let ys = self.series.iter().flat_map(|s| {
            s.points.iter().enumerate().flat_map(|(i, p)| {
                let half = s.band.get(i).copied().filter(|b| b.is_finite()).unwrap_or(0.0);
                [p[1] - half, p[1] + half]
            })
        });
        Some((Axis::of(xs, self.log_x)?, Axis::of(ys, self.log_y)?))
    }

    /// The chart as an `<svg>` element; a sentence in it where there is nothing to draw.
    pub fn svg(&self) -> String {
        let [w, h] = SIZE;
        let label = escape(&self.title);
        let mut svg = format!(r#"<svg viewBox="0 0 {w} {h}" role="img" aria-label="{label}">"#);
        match self.axes() {
            None => svg += &text(w / 2.0, h / 2.0, "middle", "nothing to show yet"),
            Some((x, y)) => {
                svg += &self.grid(&x, &y);
                for series in &self.series {
                    svg += &drawn(series, &x, &y);
                }
            }
        }
        svg + "</svg>"
    }

    fn grid(&self, x: &Axis, y: &Axis) -> String {
        let [w, h] = SIZE;
        let [left, top, right, bottom] = MARGIN;
        let mut out = String::new();
        for t in y.ticks() {
            let at = place(y, t, h - bottom, top);
            out += &line([left, at], [w - right, at], "grid");
            out += &text(left - 6.0, at + 4.0, "end", &short(t));
        }
        for t in x.ticks() {
            let at = place(x, t, left, w - right);
            out += &line([at, h - bottom], [at, h - bottom + 4.0], "axis");
            out += &text(at, h - bottom + 16.0, "middle", &short(t));
        }
        out += &line([left, h - bottom], [w - right, h - bottom], "axis");
        out += &line([left, top], [left, h - bottom], "axis");
        out += &text((left + w - right) / 2.0, h - 8.0, "middle", &self.x);
        let middle = (top + h - bottom) / 2.0;
        let turned = text(0.0, 0.0, "middle", &self.y);
        let _ = write!(out, r#"<g transform="translate(12 {middle:.1}) rotate(-90)">{turned}</g>"#);
        out
    }
}

fn place(axis: &Axis, v: f64, from: f64, to: f64) -> f64 {
    from + axis.share(v).unwrap_or(0.0) * (to - from)
}

pub(super) fn line(from: [f64; 2], to: [f64; 2], class: &str) -> String {
    let ([x1, y1], [x2, y2]) = (from, to);
    format!(r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#)
}

pub(super) fn text(x: f64, y: f64, anchor: &str, what: &str) -> String {
    format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escape(what))
}

/// A point of a series on the canvas, with the ends of its band.
#[derive(Clone, Copy)]
struct Drawn {
    at: [f64; 2],
    low: f64,
    high: f64,
}

fn on_canvas(series: &Series, x: &Axis, y: &Axis) -> Vec<Option<Drawn>> {
    let [w, h] = SIZE;
    let [left, top, right, bottom] = MARGIN;
    let across = |v: f64| x.share(v).map(|s| left + s * (w - right - left));
    let up = |v: f64| y.share(v).map(|s| h - bottom - s * (h - bottom - top));
    let points = series.points.iter().enumerate().map(|(i, p)| {
        let half = series.band.get(i).copied().filter(|b| b.is_finite()).unwrap_or(0.0);
        let at = [across(p[0])?, up(p[1])?];
        Some(Drawn { at, low: up(p[1] - half).unwrap_or(h - bottom), high: up(p[1] + half)? })
    });
    points.collect()
}

fn drawn(series: &Series, x: &Axis, y: &Axis) -> String {
    let class = series.colour % COLOURS;
    let points = on_canvas(series, x, y);
    let mut out = String::new();
    for run in points.split(Option::is_none) {
        let run: Vec<Drawn> = run.iter().copied().flatten().collect();
        if !series.band.is_empty() && run.len() > 1 {
            let upper = run.iter().map(|d| [d.at[0], d.high]);
            let lower = run.iter().rev().map(|d| [d.at[0], d.low]);
            let _ = write!(out, r#"<polygon class="band s{class}" points="{}"/>"#, path(upper.chain(lower)));
        }
        if series.mark != Mark::Dots && run.len() > 1 {
            let thin = thinned(run.iter().map(|d| d.at).collect());
            let _ = write!(out, r#"<polyline class="line s{class}" points="{}"/>"#, path(thin.into_iter()));
        }
        if series.mark != Mark::Line || run.len() == 1 {
            for [cx, cy] in run.iter().map(|d| d.at) {
                let _ = write!(out, r#"<circle class="dot s{class}" cx="{cx:.1}" cy="{cy:.1}" r="2.6"/>"#);
            }
        }
    }
    out
}

pub(super) fn path(points: impl Iterator<Item = [f64; 2]>) -> String {
    points.map(|[x, y]| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

/// The lowest and the highest point of each of equal stretches, in their order.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.len() <= DRAWN {
        return points;
    }
    let stretch = points.len().div_ceil(DRAWN / 2);
    let mut kept = Vec::with_capacity(DRAWN + 2);
    for part in points.chunks(stretch) {
        let by = |a: &(usize, &[f64; 2]), b: &(usize, &[f64; 2])| a.1[1].total_cmp(&b.1[1]);
        let lowest = part.iter().enumerate().min_by(by).map_or(0, |p| p.0);
        let highest = part.iter().enumerate().max_by(by).map_or(0, |p| p.0);
        kept.push(part[lowest.min(highest)]);
        if lowest != highest {
            kept.push(part[lowest.max(highest)]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<[f64; 2]>) -> Chart {
        Chart { title: "t".into(), x: "x".into(), y: "y".into(), series: vec![Series::line("a", points, 0)], ..Chart::default() }
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (low, high) in [(0.0, 1.0), (3.2, 9.7), (-5.0, 1234.0), (1e-9, 3e-9), (4.0, 4.0)] {
            let axis = Axis::of([low, high].into_iter(), false);
            let ticks = axis.map(|a| a.ticks()).unwrap_or_default();
            assert!((2..=8).contains(&ticks.len()), "{low}..{high}: {ticks:?}");
        }
        let log = Axis::of([1e-6, 1e-1].into_iter(), true).map(|a| a.ticks()).unwrap_or_default();
        assert!((3..=7).contains(&log.len()), "{log:?}");
        assert_eq!([short(0.5), short(12000.0), short(1.0e-5), short(4.75), short(2e6)], ["0.5", "12k", "1e-5", "4.75", "2M"]);
    }

    #[test]
    fn no_number_that_is_not_finite_reaches_the_picture() {
        let svg = chart(vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, f64::INFINITY], [3.0, 2.0], [4.0, 3.0]]).svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 1, "the gap divides the line: {svg}");
        assert!(chart(vec![]).svg().contains("nothing to show yet"));
        assert!(chart(vec![[f64::NAN, 1.0]]).is_empty());
        let mut log = chart(vec![[1.0, 0.0], [2.0, -1.0], [3.0, 10.0], [4.0, 20.0]]);
        log.log_y = true;
        assert!(!log.svg().contains("NaN"));
    }

    #[test]
    fn thinning_keeps_the_spike() {
        let mut points: Vec<[f64; 2]> = (0..100_000).map(|i| [f64::from(i), 1.0]).collect();
        points[54_321][1] = 100.0;
        let kept = thinned(points);
        assert!(kept.len() <= DRAWN + 2);
        assert!(kept.iter().any(|p| p[1] == 100.0));
    }

    #[test]
    fn labels_are_escaped() {
        let mut c = chart(vec![[0.0, 1.0], [1.0, 2.0]]);
        c.x = "<script>".into();
        c.title = "\"><b>".into();
        let svg = c.svg();
        assert!(!svg.contains("<script>") && !svg.contains("<b>"), "{svg}");
    }
}
