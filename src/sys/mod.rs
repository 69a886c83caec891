//! The hands: the only floor with system calls, sockets and clocks.
