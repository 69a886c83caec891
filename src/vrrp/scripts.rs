//! The tracking scripts of a node: started, ended, and what their results change.

use std::sync::Arc;

use crate::model::ScriptId;
use crate::time::{Duration, Instant};
use crate::track::script::{Effect, Outcome};

use super::instance::Instance;
use super::io::{Action, RunId, ScriptEnd, ScriptSignal};
use super::node::Node;
use super::report::{Event, ScriptEvent};

impl Node {
    pub(crate) fn tick_scripts(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut effects = Vec::new();
        for i in 0..self.scripts.len() {
            let Some(tracker) = self.scripts.get_mut(i).filter(|tracker| tracker.deadline() <= now) else { continue };
            tracker.tick(now, &mut effects);
            self.script_effects(ScriptId(i), &mut effects, now, out);
        }
        for (&run, kill_at) in self.orphans.iter_mut().filter(|(_, at)| **at <= now) {
            out.push(Action::SignalScript(run, ScriptSignal::Kill));
            *kill_at = now + Duration::from_secs(10);
        }
    }

    pub(super) fn script_ended(&mut self, run: RunId, end: ScriptEnd, now: Instant, out: &mut Vec<Action>) {
        self.orphans.remove(&run);
        let Some(id) = self.runs.remove(&run) else { return };
        let outcome = match end {
            ScriptEnd::Exited(status) => Outcome::Exited(status),
            ScriptEnd::Signalled(signal) => Outcome::Signalled(signal),
            ScriptEnd::NotStarted(errno) => Outcome::NotStarted(errno),
        };
        let mut effects = Vec::new();
        if let Some(tracker) = self.scripts.get_mut(id.0) {
            tracker.ended(outcome, &mut effects);
        }
        self.script_effects(id, &mut effects, now, out);
    }

    fn script_effects(&mut self, id: ScriptId, effects: &mut Vec<Effect>, now: Instant, out: &mut Vec<Action>) {
        let mut changed = false;
        for effect in effects.drain(..) {
            let event = match effect {
                Effect::Run => {
                    let run = RunId(self.next_run);
                    self.next_run += 1;
                    self.runs.insert(run, id);
                    out.push(Action::RunScript(run, id));
                    continue;
                }
                Effect::Term | Effect::Kill => {
                    let signal = if effect == Effect::Term { ScriptSignal::Term } else { ScriptSignal::Kill };
                    let run = self.runs.iter().find(|(_, of)| **of == id);
                    out.extend(run.map(|(&run, _)| Action::SignalScript(run, signal)));
                    continue;
                }
                Effect::NowReturning(status) => ScriptEvent::NowReturning(status),
                Effect::Succeeded => ScriptEvent::Succeeded,
                Effect::Failed(outcome) => ScriptEvent::Failed(outcome),
                Effect::TimedOut => ScriptEvent::TimedOut,
                Effect::StillRunning { ending } => ScriptEvent::StillRunning { ending },
            };
            changed |= matches!(event, ScriptEvent::Succeeded | ScriptEvent::Failed(_));
            if event == ScriptEvent::Failed(Outcome::TimedOut) {
                continue; // that it timed out has been said
            }
            let name = self.config.scripts.get(id.0).map_or_else(|| "".into(), |script| Arc::clone(&script.name));
            out.push(Action::Report(Event::Script(name, event)));
        }
        if changed {
            let tracks = |instance: &Instance| instance.config.track_scripts.iter().any(|track| track.script == id);
            let which: Vec<usize> = self.all().into_iter().filter(|&i| tracks(&self.instances[i])).collect();
            self.reassess(&which, now, out);
        }
    }
}
