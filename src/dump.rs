//! `keepalived.data` and `keepalived.stats` as text.
