//! One HTML page that needs nothing beside itself: escaping, style, the pieces of a report.
//!
//! Whatever comes from a run (names, samples, settings) goes through [`escape`]. The page carries a content security policy
//! that forbids scripts and everything that would be loaded, so that text which got through could still do nothing.

use super::svg::{COLOURS, Chart};

/// `text` so that it stands in an element or an attribute as it is; control characters become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || is_direction(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Marks that turn the direction of text: they could make a table read otherwise than it is.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A page that grows from top to bottom.
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page.
    pub fn new(title: impl Into<String>) -> Page {
        let title = title.into();
        let body = format!("<h1>{}</h1>\n", escape(&title));
        Page { title, body }
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        self.body += &format!("<h2>{}</h2>\n", escape(title));
    }

    /// A sentence or more.
    pub fn text(&mut self, text: &str) {
        self.body += &format!("<p>{}</p>\n", escape(text));
    }

    /// Text with its own line breaks.
    pub fn verbatim(&mut self, text: &str) {
        self.body += &format!("<pre>{}</pre>\n", escape(text));
    }

    /// A small remark under what it belongs to.
    pub fn note(&mut self, text: &str) {
        self.body += &format!("<p class=\"note\">{}</p>\n", escape(text));
    }

    /// Rows under a heading; without rows, nothing.
    pub fn table<S: AsRef<str>>(&mut self, heading: &[&str], rows: &[Vec<S>]) {
        if rows.is_empty() {
            return;
        }
        let head: String = heading.iter().map(|h| format!("<th>{}</th>", escape(h))).collect();
        self.body += &format!("<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>\n");
        for row in rows {
            let cells: String = row.iter().map(|c| cell(c.as_ref())).collect();
            self.body += &format!("<tr>{cells}</tr>\n");
        }
        self.body += "</tbody></table></div>\n";
    }

    /// A chart with its title above and the names of its series below; where it has nothing to show, nothing.
    pub fn chart(&mut self, chart: &Chart) {
        if chart.is_empty() {
            return;
        }
        let keys: Vec<(usize, &str)> = chart.series.iter().map(|s| (s.colour, s.name.as_str())).collect();
        self.figure(&chart.title, &chart.svg(), &keys);
    }

    /// A picture with its title above and what its colours mean below; `svg` is an element.
    pub fn figure(&mut self, title: &str, svg: &str, keys: &[(usize, &str)]) {
        let key = |(colour, name): &(usize, &str)| {
            format!("<span class=\"key\"><i class=\"s{}\"></i>{}</span>", colour % COLOURS, escape(name))
        };
        let keys: String = keys.iter().filter(|k| !k.1.is_empty()).map(key).collect();
        let title = escape(title);
        self.body += &format!("<figure><figcaption>{title}</figcaption>{svg}<div class=\"keys\">{keys}</div></figure>\n");
    }

    /// Charts beside each other where the window is wide enough.
    pub fn charts(&mut self, charts: &[Chart]) {
        self.body += "<div class=\"charts\">\n";
        charts.iter().for_each(|c| self.chart(c));
        self.body += "</div>\n";
    }

    /// What opens on a click.
    pub fn folded(&mut self, title: &str, fill: impl FnOnce(&mut Page)) {
        self.body += &format!("<details><summary>{}</summary>\n", escape(title));
        fill(self);
        self.body += "</details>\n";
    }

    /// The whole file.
    pub fn finish(self) -> String {
        let colours: String = LIGHT.iter().enumerate().map(|(i, c)| format!("--s{i}:{c};")).collect();
        let dark: String = DARK.iter().enumerate().map(|(i, c)| format!("--s{i}:{c};")).collect();
        let classes: String = (0..COLOURS).map(|i| format!(".s{i}{{--c:var(--s{i})}}")).collect();
        let style = format!(":root{{{colours}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}{classes}{STYLE}");
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{}</title>\n<style>{style}</style></head>\n<body><main>\n{}</main></body></html>\n",
            escape(&self.title),
            self.body
        )
    }
}

fn cell(text: &str) -> String {
    let number = text.strip_prefix(['-', '+']).unwrap_or(text).starts_with(|c: char| c.is_ascii_digit());
    let class = if number { " class=\"n\"" } else { "" };
    format!("<td{class}>{}</td>", escape(text))
}

/// Okabe and Ito's colours, told apart by most eyes; the last ones darker.
const LIGHT: [&str; COLOURS] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#6a3d9a", "#444444"];
const DARK: [&str; COLOURS] = ["#56b4e9", "#ff9d57", "#2fd0a0", "#f0a8cf", "#9ad4f5", "#f0e442", "#b899e0", "#cccccc"];

const STYLE: &str = "
:root{--fg:#1c1c1c;--bg:#fff;--dim:#666;--rule:#ddd;--card:#f7f7f7}
@media(prefers-color-scheme:dark){:root{--fg:#e6e6e6;--bg:#161616;--dim:#9a9a9a;--rule:#3a3a3a;--card:#202020}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,-apple-system,Segoe UI,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px}
h1{font-size:24px;margin:0 0 8px;overflow-wrap:anywhere}h2{font-size:18px;margin:28px 0 8px;border-bottom:1px solid var(--rule)}
p{margin:6px 0;overflow-wrap:anywhere}.note{color:var(--dim);font-size:13px}
pre{background:var(--card);padding:10px;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.4 ui-monospace,Menlo,Consolas,monospace}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;margin:8px 0}
td,th{padding:3px 10px 3px 0;text-align:left;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}
td.n{font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:12px}
figure{margin:0;padding:8px;background:var(--card)}figcaption{font-weight:600;margin-bottom:4px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font-size:11px}
.grid{stroke:var(--rule);stroke-width:.7}.axis{stroke:var(--dim);stroke-width:1}
.line{fill:none;stroke:var(--c);stroke-width:1.4}.faint{opacity:.35}.band{fill:var(--c);opacity:.18}.dot{fill:var(--c)}
.keys{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:12px}.key i{display:inline-block;width:12px;height:3px;margin-right:5px;vertical-align:middle;background:var(--c)}
details{margin:8px 0}summary{cursor:pointer}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_run_stays_text() {
        let evil = "<script>alert('x')</script>&\"\u{0}\u{202e}<img src=http://x/y>";
        let mut page = Page::new(evil);
        page.section(evil);
        page.text(evil);
        page.verbatim(evil);
        page.note(evil);
        page.table(&[evil], &[vec![evil]]);
        page.folded(evil, |p| p.text(evil));
        let html = page.finish();
        for bad in ["<script", "<img", "\u{0}", "\u{202e}", "alert('"] {
            assert!(!html.contains(bad), "{bad:?} is in the page");
        }
    }

    #[test]
    fn nothing_is_loaded_from_outside() {
        let html = Page::new("t").finish();
        assert!(html.contains("default-src 'none'"));
        for bad in ["http://", "https://", "<link", "<script", "src=", "url(", "@import"] {
            assert!(!html.contains(bad), "{bad}");
        }
    }
}
