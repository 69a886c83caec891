//! Children and reloads as engines: start, death, respawn, back-off.
