//! Transitions as words: log sentences, script arguments.
