//! What systemd is told (sd_notify(3)). Without `NOTIFY_SOCKET` nothing is sent.

use sd_notify::{NotifyState, notify};

/// The parent as systemd sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceManager;

impl ServiceManager {
    /// Every child has read its configuration.
    pub fn ready(self, status: &str) {
        send(&[NotifyState::Ready, NotifyState::MainPid(std::process::id()), NotifyState::Status(status)]);
    }

    /// A reload begins; [`Self::ready`] ends it, whatever came of it.
    pub fn reloading(self) {
        // systemd 253 and newer wants the time with it.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(_) => send(&[NotifyState::Reloading]),
        }
    }

    /// The stop begins.
    pub fn stopping(self) {
        send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// One line for `systemctl status`.
    pub fn status(self, text: &str) {
        send(&[NotifyState::Status(text)]);
    }

    /// A child ended with an error that nothing here can change.
    pub fn failed(self, errno: u32) {
        send(&[NotifyState::Errno(errno)]);
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!("cannot tell the service manager: {error}");
    }
}
