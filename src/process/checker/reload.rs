//! A reload in the checker process: what the parent has read is taken over in one step.

use std::sync::Arc;

use tracing::{info, warn};

use super::{Process, SETTLED, listen_for_addresses, wants_addresses};
use crate::check::io::Input;
use crate::process::configuration::{self, Load};
use crate::process::ipc::FromChild;
use crate::supervise::child::Kind;
use crate::sys::{clock, schedule};

impl Process {
    pub(super) fn begin_reload(&mut self) {
        info!("Reloading");
        let load = configuration::take_reload(self.parent.descriptor(), Kind::Checker);
        self.take_load(load);
    }

    /// The files and the machine are what they were.
    pub(super) fn reload_same(&mut self) {
        info!("Reloading");
        self.take_load(Ok(self.config.clone()));
    }

    fn take_load(&mut self, load: Load) {
        let answer = load.map(|config| {
            self.take_config(config);
            Vec::new()
        });
        self.parent.send(&FromChild::Reloaded(answer));
    }

    fn take_config(&mut self, config: crate::model::Config) {
        if self.config.global.checker_scheduling != config.global.checker_scheduling {
            for problem in schedule::apply(&config.global.checker_scheduling, "checker") {
                warn!("{problem}");
            }
        }
        // What was decided so far speaks of the old configuration's servers.
        self.perform_all();
        self.config = config;
        let lvs = Arc::clone(&self.config.lvs);
        if self.kernel.is_none() && wants_addresses(&lvs, &self.options) {
            match listen_for_addresses() {
                Ok(kernel) => self.kernel = Some(kernel),
                Err(error) => warn!("cannot learn this machine's addresses: {error}"),
            }
        }
        self.set_up(&lvs, false);
        self.node.handle(Input::Reload(&lvs), clock::now(), &mut self.actions);
        self.perform_all();
        self.tidies = Some(clock::now() + SETTLED);
    }
}
