//! What the dashboard shows and what its keys do; knows no terminal but the names of keys.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Child;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::control::{self, Request};
use super::view::{RunView, clean, runs_at};

/// Runs that are followed at once, the newest first.
const MOST_RUNS: usize = 200;
/// Looks between two searches for new runs.
const RESCAN: usize = 8;

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Loss, speed, rates.
    Curves,
    /// Time, memory, heat, power, device.
    Machine,
    /// Samples.
    Text,
    /// What happened.
    Log,
    /// All runs beside each other.
    Runs,
}

impl View {
    /// In the order of their keys, `1` to `5`.
    pub const ALL: [(View, &'static str); 5] =
        [(View::Curves, "curves"), (View::Machine, "machine"), (View::Text, "text"), (View::Log, "log"), (View::Runs, "runs")];

    fn moved(self, by: usize) -> View {
        let at = View::ALL.iter().position(|v| v.0 == self).unwrap_or(0);
        View::ALL[(at + by) % View::ALL.len()].0
    }
}

/// State of the dashboard.
pub struct App {
    root: PathBuf,
    /// Runs, the one changed last first.
    pub runs: Vec<RunView>,
    /// Which is shown.
    pub selected: usize,
    /// Folders of the runs that are drawn beside it.
    pub compared: Vec<PathBuf>,
    /// What fills the screen.
    pub view: View,
    /// Lines of log or text scrolled away from the end or the newest; 0 follows.
    pub scroll: usize,
    /// Whether keys are explained.
    pub help: bool,
    /// Last word of the dashboard itself.
    pub message: String,
    /// Text that `g` asked for.
    pub generated: Option<String>,
    /// Whether there are colours.
    pub colour: bool,
    children: Vec<(Child, Task)>,
    looks: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Training,
    Writing,
}

impl App {
    /// A dashboard of the run or the runs at `root`, with what their logs hold by now.
    pub fn new(root: &Path, colour: bool) -> App {
        let mut app = App {
            root: root.to_owned(),
            runs: Vec::new(),
            selected: 0,
            compared: Vec::new(),
            view: View::Curves,
            scroll: 0,
            help: false,
            message: String::new(),
            generated: None,
            colour,
            children: Vec::new(),
            looks: 0,
        };
        app.look();
        app
    }

    /// The run that is shown.
    pub fn run(&self) -> Option<&RunView> {
        self.runs.get(self.selected)
    }

    /// The run that is shown, then those that are compared with it.
    pub fn drawn(&self) -> Vec<&RunView> {
        let others = self.runs.iter().filter(|r| self.compared.contains(&r.path) && Some(&r.path) != self.run().map(|s| &s.path));
        self.run().into_iter().chain(others).collect()
    }

    /// Takes in what is new; true while there is more at once.
    pub fn look(&mut self) -> bool {
        if self.looks.is_multiple_of(RESCAN) {
            self.rescan();
        }
        self.looks += 1;
        self.reap();
        // each looks, also after one that has more
        self.runs.iter_mut().map(RunView::look).filter(|more| *more).count() > 0
    }

    /// New runs come in front; those that are known keep what was read of them.
    fn rescan(&mut self) {
        let shown = self.run().map(|r| r.path.clone());
        let mut known = std::mem::take(&mut self.runs);
        for path in runs_at(&self.root).into_iter().take(MOST_RUNS) {
            let old = known.iter().position(|r| r.path == path).map(|at| known.swap_remove(at));
            self.runs.push(old.unwrap_or_else(|| RunView::new(&path)));
        }
        self.selected = self.runs.iter().position(|r| Some(&r.path) == shown.as_ref()).unwrap_or(0);
    }

    /// Hears of processes that have ended.
    fn reap(&mut self) {
        let mut running = Vec::new();
        for (mut child, task) in std::mem::take(&mut self.children) {
            match (child.try_wait(), task) {
                (Ok(None), _) => running.push((child, task)),
                (Ok(Some(status)), Task::Training) => self.message = format!("the resumed run ended ({status})"),
                (_, Task::Writing) => {
                    let mut text = Vec::new();
                    // at most what 120 tokens make, which the pipe holds
                    let read = child.stdout.take().map(|out| out.take(1 << 16).read_to_end(&mut text));
                    let text = clean(String::from_utf8_lossy(&text).trim());
                    let found = matches!(read, Some(Ok(n)) if n > 0);
                    self.generated = Some(if found { text } else { "no text: the run has no checkpoint that speaks".to_owned() });
                    self.message = "text is there: key 3".to_owned();
                }
                (Err(_), Task::Training) => {}
            }
        }
        self.children = running;
    }

    /// Does what a key says; false when the dashboard is to end.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return false,
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Tab => self.show(self.view.moved(1)),
            KeyCode::BackTab => self.show(self.view.moved(View::ALL.len() - 1)),
            KeyCode::Char(digit @ '1'..='5') => self.show(View::ALL[digit as usize - '1' as usize].0),
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected + 1),
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_add(5),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_sub(5),
            KeyCode::Char('p') => self.scroll = if self.scroll == 0 { 1 } else { 0 },
            KeyCode::Char(' ') => self.mark(),
            KeyCode::Char('s') => self.ask(Request::Stop),
            KeyCode::Char('c') => self.ask(Request::Checkpoint),
            KeyCode::Char('r') => self.begin(Task::Training),
            KeyCode::Char('g') => self.begin(Task::Writing),
            _ => {}
        }
        true
    }

    fn show(&mut self, view: View) {
        (self.view, self.scroll) = (view, 0);
    }

    fn select(&mut self, at: usize) {
        self.selected = at.min(self.runs.len().saturating_sub(1));
        (self.scroll, self.generated) = (0, None);
    }

    fn mark(&mut self) {
        let Some(path) = self.run().map(|r| r.path.clone()) else { return };
        match self.compared.iter().position(|p| *p == path) {
            Some(at) => drop(self.compared.remove(at)),
            None => self.compared.push(path),
        }
    }

    fn ask(&mut self, request: Request) {
        if let Some(run) = self.run() {
            self.message = control::ask(&run.path, request);
        }
    }

    fn begin(&mut self, task: Task) {
        let Some(path) = self.run().map(|r| r.path.clone()) else { return };
        let (begun, what) = match task {
            Task::Training => (control::resume(&path), "the run goes on"),
            Task::Writing if self.children.iter().any(|c| c.1 == Task::Writing) => return,
            Task::Writing => (control::generate(&path), "writing a text"),
        };
        self.message = match begun {
            Ok(child) => {
                self.children.push((child, task));
                what.to_owned()
            }
            Err(why) => why,
        };
    }
}
