//! A reload in the checker process: a thread reads what the parent has read, the loop takes it over in one step.

use std::sync::Arc;

use tracing::{info, warn};

use super::{Process, SETTLED, listen_for_addresses, wants_addresses};
use crate::check::io::Input;
use crate::process::configuration::{self, Load};
use crate::process::ipc::FromChild;
use crate::sys::{clock, schedule};

impl Process {
    pub(super) fn begin_reload(&mut self) {
        let Some(bundle) = self.parent.descriptor() else {
            self.take_load(Err("no configuration came along".into()));
            return;
        };
        info!("Reloading");
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let options = self.options.clone();
        let thread = std::thread::Builder::new().name("reload".into());
        let started = thread.spawn(move || {
            schedule::ordinary();
            // The loop may have ended meanwhile.
            let _ = sender.send(configuration::load_bundle(bundle, &options));
        });
        match started {
            Ok(_) => self.loading = Some(receiver),
            Err(error) => self.take_load(Err(format!("cannot start a thread: {error}"))),
        }
    }

    /// The files and the machine are what they were.
    pub(super) fn reload_same(&mut self) {
        info!("Reloading");
        self.take_load(Ok(self.config.clone()));
    }

    pub(super) fn take_load(&mut self, load: Load) {
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
