//! A reload in the VRRP process: what the parent has read is taken over in one step.

use std::sync::Arc;

use tracing::{info, warn};

use super::{Process, allow_sockets, use_buffers};
use crate::model::Config;
use crate::process::configuration::{self, Load};
use crate::process::ipc::FromChild;
use crate::supervise::child::Kind;
use crate::sys::{clock, schedule};
use crate::vrrp::io::Input;

impl Process {
    pub(super) fn begin_reload(&mut self) {
        info!("Reloading");
        let load = configuration::take_reload(self.parent.descriptor(), Kind::Vrrp);
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

    fn take_config(&mut self, config: Config) {
        if self.config.global.vrrp_scheduling != config.global.vrrp_scheduling {
            for problem in schedule::apply(&config.global.vrrp_scheduling, "vrrp") {
                warn!("{problem}");
            }
        }
        allow_sockets(&config.vrrp);
        use_buffers(&mut self.kernel, &config);
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
