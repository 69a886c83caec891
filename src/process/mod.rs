//! The processes: the parent and its children.
