//! Recording that is switched off from outside while a run goes on: how its cost is measured in turns within one process, whose
//! memory lies the same way in both.

use std::path::PathBuf;

use train::events::Event;

/// Off while a file is there.
pub struct Switch {
    file: Option<PathBuf>,
    recorded: Vec<bool>,
}

impl Switch {
    /// The file that `AUTOANE_UNRECORDED` names; always on without it.
    pub fn of_environment() -> Switch {
        Switch { file: std::env::var_os("AUTOANE_UNRECORDED").map(PathBuf::from), recorded: Vec::new() }
    }

    /// Whether `event` is to be recorded.
    pub fn recording(&mut self, event: &Event) -> bool {
        let Some(file) = &self.file else { return true };
        let on = !file.exists();
        if matches!(event, Event::Step(_)) {
            self.recorded.push(on);
        }
        on || !matches!(event, Event::Step(_) | Event::Usage(_))
    }

    /// Of each step whether it was.
    pub fn recorded(&self) -> Option<&[bool]> {
        self.file.as_ref().map(|_| self.recorded.as_slice())
    }
}
