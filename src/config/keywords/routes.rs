//! Route and rule lines.

use super::Entry;
use crate::config::reader::{Given, Reader};

/// Words of a route line.
pub const ROUTE_OPTIONS: &[Entry] = &[];

/// Words of a rule line.
pub const RULE_OPTIONS: &[Entry] = &[];

/// Judges route lines; says whether there is a usable one.
pub fn check_routes(given: &Given<'_>, _: &mut Reader<'_>) -> bool {
    !given.body().is_empty()
}

/// Judges rule lines; says whether there is a usable one.
pub fn check_rules(given: &Given<'_>, _: &mut Reader<'_>) -> bool {
    !given.body().is_empty()
}
