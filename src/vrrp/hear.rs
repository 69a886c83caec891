//! What an instance makes of the adverts it accepts: RFC 9568 §6.4.2 and §6.4.3, and what two address owners do.

use std::cmp::Ordering;

use crate::addr::Family;
use crate::model::vrrp::Version;
use crate::time::{Duration, Instant};
use crate::wire::ipv4::Header;

use super::instance::{Context, Instance, Master, OtherOwner, State};
use super::io::{Notified, PacketMeta};
use super::receive::Heard;
use super::report::InstanceEvent;
use super::routine::Routine;

impl Instance {
    /// The advert that it hears as BACKUP if nothing changes: its timer begins anew, and this is when it ends. None where
    /// this is another advert, or where it must be looked at.
    pub(super) fn hear_again(&mut self, meta: &PacketMeta, bytes: &[u8], now: Instant) -> Option<Instant> {
        let State::Backup(backup) = &mut self.state else { return None };
        let Some(Routine::Hear(advert)) = &self.routine else { return None };
        if !advert.is(meta, bytes) {
            return None;
        }
        backup.down_at = now + backup.length;
        self.statistics.advert_rcvd += 1;
        if meta.socket.family == Family::V4 {
            self.last_id = Some((meta.source, Header::id(bytes)));
        }
        Some(backup.down_at)
    }

    /// Whether to hear this once more, now that it was heard without a word, would let nothing but the timer begin anew.
    /// That nothing was said is not enough: what is said of flaws, of priority 0 and of lower priorities is limited.
    pub(super) fn is_routine(&self, heard: &Heard) -> bool {
        let is_followed = heard.priority > 0 && (heard.priority >= self.effective || !self.config.preempt);
        matches!(self.state, State::Backup(_)) && is_followed && heard.flaws.is_empty()
    }

    /// A sound advert.
    pub(super) fn hear(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        if heard.adopt_old_checksum && !self.old_checksum {
            self.old_checksum = true;
            self.report(InstanceEvent::OldChecksumAdopted, ctx);
        }
        for &flaw in &heard.flaws {
            self.report_flaw(heard.source, flaw, ctx);
        }
        match self.state {
            State::Init | State::Fault => {}
            State::Backup(_) => self.hear_as_backup(heard, ctx),
            State::Master(_) => self.hear_as_master(heard, ctx),
        }
        if let Some(id) = heard.id {
            self.last_id = Some((heard.source, id));
        }
    }

    fn hear_as_backup(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        let now = ctx.now;
        if self.yielded_to.is_some_and(|other| other != heard.source || heard.priority != 255) {
            self.yielded_to = None;
            self.effective = 255;
            self.report(InstanceEvent::OwnerRestored { priority: 255, lower_heard: heard.priority != 255 }, ctx);
        }
        if heard.priority == 0 {
            self.report_limited(InstanceEvent::BackupHeardZero, ctx);
            let length = self.skew_time();
            if let State::Backup(backup) = &mut self.state {
                (backup.down_at, backup.length) = (now + length, length);
            }
            return;
        }
        let lower = heard.priority < self.effective;
        if lower && self.config.preempt && !self.holds_preemption(ctx) {
            let event = InstanceEvent::LowerDiscarded { priority: heard.priority, source: heard.source };
            self.report_limited(event, ctx);
            self.follow(heard, ctx);
            return;
        }
        if self.config.version == Version::V3 && heard.interval != self.master_interval {
            let from = std::mem::replace(&mut self.master_interval, heard.interval);
            self.report_limited(InstanceEvent::IntervalLearnt { from, to: heard.interval }, ctx);
        }
        self.follow(heard, ctx);
        let length = self.master_down_interval();
        let State::Backup(backup) = &mut self.state else { return };
        (backup.down_at, backup.length) = (now + length, length);
        if !lower && backup.preempt_at.take().is_some() {
            self.report_limited(InstanceEvent::PreemptDelayStopped, ctx);
        }
    }

    /// Whether `preempt_delay` still keeps it from taking over from a lower priority, which it has just heard.
    fn holds_preemption(&mut self, ctx: &mut Context<'_>) -> bool {
        let (delay, now) = (self.config.preempt_delay, ctx.now);
        let State::Backup(backup) = &mut self.state else { return false };
        if delay.is_zero() {
            return false;
        }
        match backup.preempt_at {
            Some(at) => at >= now,
            None => {
                backup.preempt_at = Some(now + delay);
                self.report_limited(InstanceEvent::PreemptDelayStarted(delay), ctx);
                true
            }
        }
    }

    /// Remembers who is master.
    fn follow(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        let from = self.master.replace((heard.source, heard.priority)).map(|(source, _)| source);
        if from != Some(heard.source) {
            self.log.logged = 0;
            self.report_limited(InstanceEvent::MasterSet { from, to: heard.source }, ctx);
        }
    }

    fn hear_as_master(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        if heard.priority == 0 {
            // a rival that we did not know of gives up: others may still have its hardware address
            self.report_limited(InstanceEvent::MasterHeardZero, ctx);
            if self.answer(ctx) {
                self.announce(self.config.garp.master_repeat, ctx);
            }
            return;
        }
        let theirs = (heard.priority, heard.source);
        let Some(source) = self.source else { return };
        // the higher address wins between equals (RFC 9568 §6.4.3)
        match theirs.cmp(&(self.effective, source)) {
            Ordering::Greater => self.hear_higher(heard, ctx),
            Ordering::Less => self.hear_lower(heard, ctx),
            Ordering::Equal => self.report_limited(InstanceEvent::OwnAddressHeard, ctx),
        }
    }

    fn hear_higher(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        let (source, priority, ours) = (heard.source, heard.priority, self.effective);
        self.report_limited(
            if priority > ours {
                InstanceEvent::HigherPriority { source, priority, ours }
            } else {
                InstanceEvent::HigherAddress { source, priority }
            },
            ctx,
        );
        if self.config.higher_prio_send_advert || self.owes_last_word(heard, ctx.now) {
            self.send_advert(self.effective, ctx.now, ctx);
        }
        if self.config.version == Version::V3 {
            self.master_interval = heard.interval;
        }
        self.master = Some((source, priority));
        self.yield_to_master(ctx);
    }

    /// Whether `heard` has been MASTER beside us for a while, so that it must learn of us to repair what our
    /// announcements have done to the neighbours. A master that has only just begun announces by itself: it counts its
    /// packets from 1, or goes on from the last one that we have heard. IPv6 has no such count. But if we have
    /// announced just now, whose announcement came last is anybody's guess.
    fn owes_last_word(&self, heard: &Heard, now: Instant) -> bool {
        let State::Master(master) = &self.state else { return false };
        let begins = |id: u16| id == 1 || self.last_id == Some((heard.source, id.wrapping_sub(1)));
        let just_announced = now < master.announced + self.advert_interval().max(Duration::from_secs(1));
        !self.config.strict && (just_announced || !heard.id.is_some_and(begins))
    }

    fn hear_lower(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        let now = ctx.now;
        let garp = self.config.garp;
        let interval = self.advert_interval();
        let answered = !self.config.lower_prio_no_advert;
        let State::Master(master) = &mut self.state else { return };
        let expected = now < master.since + interval;
        // a rival sends once an interval; a flood gets four reactions, the last of them after its end
        let flooded = master.reacted.is_some_and(|at| now < at + interval / 4);
        if flooded {
            master.react_at.get_or_insert(now + interval / 4);
        } else {
            master.reacted = Some(now);
        }
        let silence = heard.interval.duration() + (heard.interval.duration() / 2).min(Duration::from_millis(500));
        master.rival_silent_at = Some(now + silence.max(Duration::from_millis(20)));
        if garp.lower_prio_repeat > 0 && !garp.lower_prio_delay.is_zero() {
            master.lower_burst_at = Some(now + garp.lower_prio_delay);
        }
        let (source, priority, ours) = (heard.source, heard.priority, self.effective);
        let event = InstanceEvent::LowerPriority { source, priority, ours, answered, expected };
        self.report_limited(event, ctx);
        if answered {
            self.answer(ctx);
        }
        if !flooded {
            self.announce(garp.lower_prio_repeat, ctx);
            self.tell(Notified::MasterRxLowerPri, ctx);
        }
        if self.effective == 255 && priority == 255 {
            self.meet_other_owner(heard, ctx);
        }
    }

    /// Answers at once, unless a flood has had its ten answers in an interval. Says whether it did.
    fn answer(&mut self, ctx: &mut Context<'_>) -> bool {
        let gap = self.advert_interval() / 10;
        let answers = self.last_advert_sent.is_none_or(|at| ctx.now >= at + gap);
        if answers {
            self.advertise(ctx);
        }
        answers
    }

    // ---- two owners ------------------------------------------------------------------------------------------------

    /// We have the higher address: the other one should yield, unless it does not hear us or does not listen.
    fn meet_other_owner(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        let source = heard.source;
        let State::Master(master) = &mut self.state else { return };
        match &master.other_owner {
            Some(other) if other.source == source => {
                if other.until.is_none_or(|until| ctx.now > until) {
                    return;
                }
                master.other_owner = None;
                self.report(InstanceEvent::OtherOwnerGoesOn(source), ctx);
                self.yielded_to = Some(source);
                self.weigh(ctx);
            }
            _ => {
                master.other_owner = Some(OtherOwner { source, interval: heard.interval, adverts: 2, until: None });
                self.report_limited(InstanceEvent::TwoOwners(source), ctx);
            }
        }
    }

    pub(super) fn count_down_other_owner(&mut self, now: Instant) {
        let ours = self.config.advert_interval;
        let State::Master(Master { other_owner: Some(other), .. }) = &mut self.state else { return };
        if other.until.is_none() {
            other.adverts -= 1;
            if other.adverts == 0 {
                other.until = Some(now + other.interval.max(ours).duration() * 6 / 5);
            }
        }
    }

    pub(super) fn tick_other_owner(&mut self, ctx: &mut Context<'_>) {
        let State::Master(master) = &mut self.state else { return };
        let over = |other: &mut OtherOwner| other.until.is_some_and(|until| until <= ctx.now);
        if master.other_owner.take_if(over).is_some() {
            self.report(InstanceEvent::OtherOwnerStopped, ctx);
        }
    }
}
