//! Signals that a run hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::out;

/// Requests by signal; a Ctrl-C after any of them ends the process at once.
pub(super) struct Signals {
    pub interrupt: Arc<AtomicBool>,
    pub terminate: Arc<AtomicBool>,
    pub save: Arc<AtomicBool>,
}

impl Signals {
    pub fn listen() -> anyhow::Result<Signals> {
        let flag = || Arc::new(AtomicBool::new(false));
        let signals = Signals { interrupt: flag(), terminate: flag(), save: flag() };
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, signals.interrupt.clone())?;
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, signals.terminate.clone())?;
        signal_hook::flag::register(SIGINT, signals.interrupt.clone())?;
        signal_hook::flag::register(SIGTERM, signals.terminate.clone())?;
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, signals.save.clone())?;
        signals.announce();
        Ok(signals)
    }

    /// Whether somebody wants to stop, to be asked while nothing else goes on.
    pub fn stopped(&self) -> impl Fn() -> bool + use<> {
        let (interrupt, terminate) = (self.interrupt.clone(), self.terminate.clone());
        move || interrupt.load(Ordering::SeqCst) || terminate.load(Ordering::SeqCst)
    }

    /// Says at once that a request to stop was heard: the step at hand may take a while.
    fn announce(&self) {
        let (interrupt, terminate) = (self.interrupt.clone(), self.terminate.clone());
        let watch = move || {
            while !interrupt.load(Ordering::SeqCst) && !terminate.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(50));
            }
            out::to_stderr("stopping, with a checkpoint of the last whole step; Ctrl-C again stops at once without");
        };
        // without the thread only the message is missing
        let _ = std::thread::Builder::new().name("signals".into()).spawn(watch);
    }
}
