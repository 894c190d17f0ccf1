//! A request to stop, heard between two pieces of work.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::Exit;

/// Whether Ctrl-C was pressed or SIGTERM came. A Ctrl-C after either ends the process at once.
#[derive(Debug)]
pub struct Stop {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn listen() -> anyhow::Result<Stop> {
        let stop = Stop { interrupt: Arc::default(), terminate: Arc::default() };
        let listen = || {
            signal_hook::flag::register_conditional_shutdown(SIGINT, 130, stop.interrupt.clone())?;
            signal_hook::flag::register_conditional_shutdown(SIGINT, 130, stop.terminate.clone())?;
            signal_hook::flag::register(SIGINT, stop.interrupt.clone())?;
            signal_hook::flag::register(SIGTERM, stop.terminate.clone())
        };
        listen().context("cannot listen for signals")?;
        Ok(stop)
    }

    /// An error once a request came: 130 after Ctrl-C, 143 after SIGTERM.
    ///
    /// # Errors
    /// That one.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.code() {
            Some(code) => Err(Exit::new(code, "stopped before the end; nothing was left behind").into()),
            None => Ok(()),
        }
    }

    /// The same as an I/O error, for code that knows no other.
    ///
    /// # Errors
    /// `Interrupted`.
    pub fn check_io(&self) -> io::Result<()> {
        self.code().map_or(Ok(()), |_| Err(io::Error::from(io::ErrorKind::Interrupted)))
    }

    fn code(&self) -> Option<u8> {
        let set = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        if set(&self.interrupt) { Some(130) } else { set(&self.terminate).then_some(143) }
    }
}
