//! The FIFOs of a child: opened, told, closed; and the scripts that read them.

use std::ffi::OsStr;

use tracing::{info, warn};

use crate::model;
use crate::sys::fifo::Fifo;

/// What starts and ends the scripts that read FIFOs.
pub(super) trait Readers {
    /// Names a script that was started.
    type Reader: Copy + std::fmt::Debug;
    /// Starts one.
    fn start(&mut self, script: &model::ScriptCommand) -> Self::Reader;
    /// Sends it SIGTERM.
    fn end(&mut self, reader: Self::Reader);
}

/// The FIFOs of a child.
#[derive(Debug)]
pub(super) struct Fifos<R> {
    /// `vrrp ` or `lvs `: which of the specific ones is meant, for log lines.
    kind: &'static str,
    open: Vec<Open<R>>,
}

#[derive(Debug)]
struct Open<R> {
    config: model::Fifo,
    /// None where it could not be opened.
    fifo: Option<Fifo>,
    reader: Option<R>,
    /// Writing to it has failed, and that was said.
    has_failed: bool,
}

impl<R: Copy + std::fmt::Debug> Fifos<R> {
    /// None yet.
    pub(super) const fn new(kind: &'static str) -> Self {
        Self { kind, open: Vec::new() }
    }

    /// Opens what is wanted and closes what is not. One that stays as it was stays open, and its reader runs on.
    pub(super) fn apply<'a>(
        &mut self,
        wanted: impl IntoIterator<Item = &'a model::Fifo>,
        readers: &mut impl Readers<Reader = R>,
    ) {
        let mut before = std::mem::take(&mut self.open);
        let mut fresh = Vec::new();
        for config in wanted {
            match before.iter().position(|open| open.config == *config && open.fifo.is_some()) {
                Some(i) => self.open.push(before.swap_remove(i)),
                None => fresh.push(config),
            }
        }
        // Before the new ones: one with another script has the path of the old one.
        before.iter().filter_map(|open| open.reader).for_each(|reader| readers.end(reader));
        drop(before);
        for config in fresh {
            let fifo = Fifo::open(&config.path, config.owner.0, config.owner.1);
            if let Err(refusal) = &fifo {
                warn!("Unable to open {}notify fifo {} - {refusal}", self.kind, config.path.display());
            }
            let fifo = fifo.ok();
            let reader = fifo.as_ref().and(config.script.as_ref()).map(|script| readers.start(script));
            self.open.push(Open { config: config.clone(), fifo, reader, has_failed: false });
        }
    }

    /// Whether anybody is told anything.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Tells all of them. Never waits.
    pub(super) fn tell(&mut self, line: &str) {
        for open in &mut self.open {
            let Some(fifo) = &mut open.fifo else { continue };
            let was_lost = fifo.lost();
            if let Err(error) = fifo.write(line)
                && !std::mem::replace(&mut open.has_failed, true)
            {
                info!("{}notify fifo write error: {error}", self.kind);
            }
            if was_lost == 0 && fifo.lost() > 0 {
                let name = fifo.path().file_name().unwrap_or(OsStr::new("?")).display();
                warn!("nobody reads {}notify fifo {name}: it is full, and lines are lost", self.kind);
            }
        }
    }

    /// At the end: the readers are told to end before the last lines come; a good one reads on until the end of the file.
    pub(super) fn end_readers(&mut self, readers: &mut impl Readers<Reader = R>) {
        self.open.iter_mut().filter_map(|open| open.reader.take()).for_each(|reader| readers.end(reader));
    }
}
