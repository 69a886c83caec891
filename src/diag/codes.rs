//! The stable codes of findings: K1xxx text and structure, K2xxx keywords and values, K3xxx across fields, K4xxx files
//! and scripts, K9xxx notes of ours. A code never changes its meaning; `docs/diagnostics.md` explains each.

use std::fmt;

/// A stable code, printed as `K2001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl Code {
    /// A keyword lacks an argument it cannot do without.
    pub const MISSING_ARGUMENT: Self = Self(2001);
    /// A keyword nobody knows here.
    pub const UNKNOWN_KEYWORD: Self = Self(2002);
    /// A keyword whose effect is not built yet.
    pub const NOT_BUILT_YET: Self = Self(9001);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K{:04}", self.0)
    }
}
