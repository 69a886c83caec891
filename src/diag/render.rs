//! Findings as text: many lines with the source under a caret for a terminal, one line for the log.
