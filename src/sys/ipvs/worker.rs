//! The thread: orders come in, requests go out, nothing else waits for them.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;

use super::{Backend, Event, Order};
use crate::ipvs::keeper::{Next, pause};
use crate::ipvs::marking::Step;
use crate::ipvs::report::{Counters, Event as Report, Request};
use crate::ipvs::settings::{self, Settings};
use crate::ipvs::{Keeper, Marker, Table};
use crate::sys::clock;
use crate::sys::mailbox::{Mailbox, Sender};
use crate::time::{Duration, Instant};

/// Requests before orders are looked at again.
const BATCH: usize = 512;
/// Between two comparisons with the kernel.
const COMPARE_EVERY: Duration = Duration::from_secs(60);
/// At the end: how often in all what fails is tried.
const LAST_TRIES: u32 = 3;

/// All that the thread has.
pub(super) struct Worker<B> {
    backend: B,
    ordered: Mailbox<Order>,
    out: Sender<Event>,
    counters: Arc<Mutex<Counters>>,
    keeper: Keeper,
    settings: Settings,
    marker: Marker,
    contact: Contact,
    /// Everything has yet to be removed.
    flush: bool,
    compare_at: Instant,
    syncs: Vec<u64>,
    /// Somebody wants to know what the kernel has.
    find: bool,
    ending: Option<Ending>,
    events: Vec<Report>,
}

/// Whether the kernel's IPVS is there.
#[derive(Debug, Default)]
struct Contact {
    is_open: bool,
    was_open: bool,
    /// When to look for it again.
    retry_at: Option<Instant>,
    failures: u32,
    said: Option<String>,
}

/// How far the end is.
#[derive(Debug)]
struct Ending {
    tries: u32,
    /// The table is done; the settings get what they were.
    restores: bool,
}

impl<B: Backend> Worker<B> {
    pub(super) fn new(backend: B, ordered: Mailbox<Order>, out: Sender<Event>, counters: Arc<Mutex<Counters>>) -> Self {
        Self {
            backend,
            ordered,
            out,
            counters,
            keeper: Keeper::default(),
            settings: Settings::default(),
            marker: Marker::default(),
            contact: Contact::default(),
            flush: false,
            compare_at: clock::now() + COMPARE_EVERY,
            syncs: Vec::new(),
            find: false,
            ending: None,
            events: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        // Signals are the loop's.
        let _ = SigSet::all().thread_block();
        loop {
            // What follows marks waits until they have been tried: it may take services away that they led to.
            while !self.marker.is_fresh()
                && let Some(order) = self.ordered.try_next()
            {
                self.take(order);
            }
            if self.ordered.is_closed() && self.ending.is_none() {
                return;
            }
            let worked = self.turn(clock::now());
            self.tell();
            if worked {
                continue;
            }
            let rests = !self.has_work(clock::now()) || !self.contact.is_open;
            if rests {
                self.syncs.drain(..).for_each(|number| self.out.send(Event::Synced(number)));
            }
            if self.ending.is_some() {
                if self.has_ended() {
                    return;
                }
            } else {
                self.wait();
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Want(key, entry) => self.keeper.want(key, entry),
            Order::Marks(marking) => self.marker.want(marking),
            Order::Flush => {
                self.keeper.want_nothing();
                self.flush = true;
            }
            Order::Timeouts(timeouts) => self.settings.want_timeouts(timeouts),
            Order::Daemons(master, backup) => self.settings.want_daemons(master, backup),
            Order::Compare => self.compare_at = clock::now(),
            Order::Find => self.find = true,
            Order::Sync(number) => self.syncs.push(number),
            Order::Finish => {
                self.keeper.hurry();
                self.settings.hurry();
                self.marker.hurry();
                self.contact.retry_at = None;
                self.ending = Some(Ending { tries: LAST_TRIES, restores: false });
            }
        }
    }

    fn has_work(&self, now: Instant) -> bool {
        let waits = self.find || self.flush || self.settings.next(now).is_some();
        waits || self.keeper.has_work(now) || self.compares(now) || self.marker.has_work(now)
    }

    /// Only what has been programmed can be compared.
    fn compares(&self, now: Instant) -> bool {
        self.contact.is_open && self.compare_at <= now
    }

    /// Does one thing, if there is one to be done now.
    fn turn(&mut self, now: Instant) -> bool {
        if !self.has_work(now) {
            return false;
        }
        if !self.contact.is_open && !self.open(now) {
            if std::mem::take(&mut self.find) {
                self.out.send(Event::Found(Table::new()));
            }
            return self.mark(now);
        }
        let done = if self.find {
            self.find_all()
        } else if let Some(step) = self.settings.next(now) {
            self.change_settings(step, now)
        } else if self.flush {
            self.flush_all()
        } else if self.compares(now) {
            self.compare_at = now + COMPARE_EVERY;
            self.keeper.compare();
            self.marker.compare();
            self.look_at_daemons()
        } else if self.keeper.has_work(now) {
            self.change_table(now)
        } else {
            self.mark(now);
            Ok(())
        };
        match done {
            // Somebody else's business may take its time; ours goes on.
            Err(error) if error.raw_os_error() != Some(libc::ETIMEDOUT) => self.contact.is_open = false,
            _ => {}
        }
        true
    }

    fn find_all(&mut self) -> io::Result<()> {
        self.find = false;
        let mut table = Table::new();
        let mut found = || {
            for key in self.backend.services()? {
                table.extend(self.backend.entry(&key)?.map(|entry| (key, entry)));
            }
            Ok(())
        };
        let done = found();
        // Of what could not be read the rest is better than nothing.
        self.out.send(Event::Found(table));
        done
    }

    fn change_settings(&mut self, step: settings::Step, now: Instant) -> io::Result<()> {
        let read = match step {
            settings::Step::ReadTimeouts => {
                self.backend.timeouts().map(|timeouts| self.settings.timeouts_are(timeouts))
            }
            settings::Step::ReadDaemons => self.look_at_daemons(),
            settings::Step::Ask(request) => {
                let answer = self.backend.ask(&request)?;
                self.settings.answered(&request, answer, now, &mut self.events);
                Ok(())
            }
        };
        if let Err(error) = &read {
            self.events.push(Report::Unread(words(error)));
            self.settings.unread(now);
        }
        read
    }

    fn look_at_daemons(&mut self) -> io::Result<()> {
        if self.settings.has_daemons() {
            let daemons = self.backend.daemons()?;
            self.settings.daemons_are(&daemons, &mut self.events);
        }
        Ok(())
    }

    fn flush_all(&mut self) -> io::Result<()> {
        self.flush = false;
        match self.backend.ask(&Request::Flush)? {
            Some(0) => self.keeper.flushed(),
            Some(errno) => self.events.push(Report::Failed { request: Request::Flush, errno, more: 0 }),
            None => {
                self.events.push(Report::Unanswered(Request::Flush));
                self.keeper.doubt();
            }
        }
        Ok(())
    }

    fn change_table(&mut self, now: Instant) -> io::Result<()> {
        match self.keeper.next(now, BATCH) {
            Next::Look(key) => match self.backend.entry(&key) {
                Ok(entry) => self.keeper.found(&key, entry, &mut self.events),
                Err(error) => {
                    self.keeper.not_found_out(&key, now);
                    return Err(error);
                }
            },
            Next::Send(batch) => {
                let answers = self.backend.change(batch.ops());
                let unknown = vec![None; if answers.is_err() { batch.ops().len() } else { 0 }];
                self.keeper.answered(batch, answers.as_ref().unwrap_or(&unknown), clock::now(), &mut self.events);
                answers?;
            }
            Next::Nothing => {}
        }
        Ok(())
    }

    /// Does one thing about marks, if there is one to be done now: when every service is there that they lead to.
    fn mark(&mut self, now: Instant) -> bool {
        let Some(step) = self.marker.next(now) else { return false };
        match step {
            Step::Clear(request) => _ = self.backend.transact(&[request]),
            Step::Change(requests) => {
                let done = self.backend.transact(&requests).map_err(|error| words(&error));
                self.marker.changed(done, clock::now(), &mut self.events);
            }
            Step::Look(marking) => {
                let found = self.backend.marking(&marking).ok();
                self.marker.found(found, &mut self.events);
            }
        }
        true
    }

    /// Looks for the kernel's IPVS, if it is time to.
    fn open(&mut self, now: Instant) -> bool {
        if self.contact.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        let opened = self.backend.open().and_then(|version| Ok((version, self.backend.services()?)));
        match opened {
            Ok((version, services)) => {
                if !self.contact.was_open || self.contact.said.take().is_some() {
                    self.events.push(Report::Available(version));
                }
                self.keeper.present(services);
                if self.contact.was_open {
                    // It may have been another module that we talked to.
                    self.keeper.doubt();
                    self.settings.doubt();
                }
                self.contact = Contact { is_open: true, was_open: true, ..Contact::default() };
                true
            }
            Err(error) => {
                let words = words(&error);
                if self.contact.said.as_ref() != Some(&words) {
                    self.events.push(Report::Unavailable(words.clone()));
                    self.contact.said = Some(words);
                }
                self.contact.failures = self.contact.failures.saturating_add(1);
                self.contact.retry_at = Some(clock::now() + pause(self.contact.failures));
                false
            }
        }
    }

    /// At the end, when nothing can be done now: whether nothing more will be.
    fn has_ended(&mut self) -> bool {
        let Some(ending) = &mut self.ending else { return true };
        if ending.tries > 0 {
            let table_waits = !self.keeper.is_settled() || self.settings.deadline().is_some();
            if self.contact.is_open && table_waits || !self.marker.is_settled() {
                ending.tries -= 1;
                self.keeper.hurry();
                self.settings.hurry();
                self.marker.hurry();
                return false;
            }
            if self.contact.is_open && !ending.restores {
                *ending = Ending { tries: LAST_TRIES, restores: true };
                self.settings.want_nothing();
                return false;
            }
        }
        match self.keeper.left() {
            0 => {}
            left => self.events.push(Report::Left(left)),
        }
        self.tell();
        true
    }

    fn wait(&self) {
        let contact = self.contact.retry_at.filter(|_| !self.contact.is_open);
        let compare = Some(self.compare_at).filter(|_| self.contact.is_open);
        let table = [self.keeper.deadline(), self.settings.deadline()].map(|at| at.filter(|_| contact.is_none()));
        let [keeper, settings] = table;
        let until = [contact, keeper, settings, compare, self.marker.deadline()].into_iter().flatten().min();
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.since(clock::now());
            PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        });
        // An interrupted wait is one more turn of the loop.
        let _ = poll(&mut [PollFd::new(self.ordered.as_fd(), PollFlags::POLLIN)], timeout);
    }

    fn tell(&mut self) {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = self.keeper.counters();
        self.events.drain(..).for_each(|event| self.out.send(Event::Report(event)));
    }
}

/// Why, for people.
fn words(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| Errno::from_raw(errno).desc().to_owned())
}

#[cfg(test)]
mod tests;
