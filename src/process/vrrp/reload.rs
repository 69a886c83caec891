//! A reload in the VRRP process: a thread reads what the parent has read, the loop takes it over in one step.

use std::sync::Arc;

use tracing::{info, warn};

use super::{Process, allow_sockets};
use crate::model::Config;
use crate::process::configuration::{self, Load};
use crate::process::ipc::FromChild;
use crate::sys::{clock, memory, schedule};
use crate::vrrp::io::Input;

impl Process {
    pub(super) fn begin_reload(&mut self) {
        let Some(bundle) = self.parent.descriptor() else {
            self.take_load(Err("no configuration came along".into()));
            return;
        };
        info!("Reloading");
        let (sender, options) = (self.loads.0.clone(), self.options.clone());
        let thread = std::thread::Builder::new().name("reload".into());
        let started = thread.spawn(move || {
            schedule::ordinary();
            sender.send(configuration::load_bundle(bundle, &options).map(Config::without_virtual_servers));
            memory::give_back();
        });
        if let Err(error) = started {
            self.take_load(Err(format!("cannot start a thread: {error}")));
        }
    }

    /// The files and the machine are what they were.
    pub(super) fn reload_same(&mut self) {
        info!("Reloading");
        self.take_load(Ok(self.config.clone()));
    }

    pub(super) fn take_load(&mut self, load: Load) {
        let answer = match load {
            Ok(config) => {
                self.take_config(config);
                Ok(Vec::new())
            }
            Err(reason) => Err(reason),
        };
        self.parent.send(&FromChild::Reloaded(answer));
    }

    fn take_config(&mut self, config: Config) {
        if self.config.global.vrrp_scheduling != config.global.vrrp_scheduling {
            for problem in schedule::apply(&config.global.vrrp_scheduling, "vrrp") {
                warn!("{problem}");
            }
        }
        allow_sockets(&config.vrrp);
        // What was decided so far speaks of the old configuration's scripts.
        self.perform_all();
        self.config = config;
        self.notices.open(&self.config.global.fifos, &mut self.scripts);
        let vrrp = Arc::clone(&self.config.vrrp);
        self.node.handle(Input::Reload(&vrrp), clock::now(), &mut self.actions);
        self.perform_all();
        self.apply_sync_daemon();
        self.tell_states();
        self.roles_changed = true;
    }
}
