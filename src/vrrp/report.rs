//! What the engine finds worth a log line, as data. `notify::report` makes keepalived's sentences of it.

/// Something worth a log line.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An instance entered a state.
    Entered {
        /// Its name.
        instance: std::sync::Arc<str>,
        /// The state.
        role: super::io::Role,
        /// At start, before anything happened.
        init: bool,
    },
}
