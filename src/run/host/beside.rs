//! What a run does beside its work: it gives way to others, and feeds a tracker and a meter.

use std::time::Instant;

use train::events::{Continued, Event, Paused};
use train::trainer::Host;

use super::{RunHost, clock, unix_seconds};
use crate::config::Tracking;
use crate::run::manners::Manners;
use crate::run::tracker::{self, Tracker};

impl RunHost<'_> {
    /// How the run behaves towards the rest of the machine.
    pub fn behave(&mut self, manners: Manners) {
        self.manners = Some(manners);
    }

    /// Sends events to a tracker too, which is told the settings. One that cannot be started is warned of.
    ///
    /// # Errors
    /// When the run folder cannot be written.
    pub fn track(&mut self, tracking: Tracking, settings: &[(&str, serde_json::Value)]) -> anyhow::Result<()> {
        if tracking == Tracking::None {
            return Ok(());
        }
        let path = self.folder.path.join(tracker::ID);
        let known = std::fs::read_to_string(&path).ok().filter(|id| !id.trim().is_empty());
        let id = known.unwrap_or_else(|| tracker::new_id(&self.folder.path, unix_seconds()));
        self.folder.write(tracker::ID, &id)?;
        match Tracker::start(tracking.name(), &tracker::introduce(&self.folder.path, id.trim(), settings)) {
            Ok(tracker) => self.tracker = Some(tracker),
            Err(why) => self.warn(format!("{} cannot be started ({why}); the run goes on without it", tracking.name())),
        }
        Ok(())
    }

    /// Ends the tracker's input and gives it a moment.
    pub fn stop_tracking(&mut self) {
        if let Some(warning) = self.tracker.take().and_then(Tracker::finish) {
            self.warn(warning);
        }
    }

    /// Waits until the machine may be used again. The clock stands still, and the wait is an event.
    fn pause(&mut self, manners: &mut Manners, reason: String) -> anyhow::Result<()> {
        self.bar.say(format!("step {}: paused: {reason}", self.step));
        let (step, seconds, began) = (self.step, self.trained, Instant::now());
        self.emit(&Event::Paused(Paused { step, seconds, reason }))?;
        let stopped = self.signals.stopped();
        manners.wait(&stopped);
        let waited = began.elapsed();
        self.away += waited;
        if !stopped() {
            self.bar.say(format!("step {step}: goes on after {}", clock(waited.as_secs_f64())));
        }
        self.emit(&Event::Continued(Continued { step, seconds, paused_seconds: waited.as_secs_f64() }))
    }

    /// Sleeps as long as the share of work asks for, and waits while the machine is not to be used. The clock stands still.
    pub(super) fn give_way(&mut self) -> anyhow::Result<()> {
        let Some(mut manners) = self.manners.take() else { return Ok(()) };
        let worked = self.now().saturating_sub(self.rested);
        let (began, stopped) = (Instant::now(), self.signals.stopped());
        manners.slow(worked, &stopped);
        self.away += began.elapsed();
        let hindrance = manners.hindrance();
        let paused = hindrance.map_or(Ok(()), |reason| self.pause(&mut manners, reason));
        self.manners = Some(manners);
        self.rested = self.now();
        paused
    }

    /// Mean power since the last look, where it is measured; the readings so far are written down.
    pub(super) fn watts(&self) -> Option<f64> {
        let power = self.out.power()?;
        let watts = power.watts();
        if let Err(error) = power.write_readings(&self.folder.path.join(crate::power::READINGS)) {
            self.warn(format!("{error:#}"));
        }
        watts
    }
}
