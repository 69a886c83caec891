//! Bytes to values and back, one file per protocol, no policy. Nothing here panics on any input.
