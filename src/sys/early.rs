//! The program's first own instructions. The C library runs `.preinit_array` before any other initialiser and long before
//! `main`: from then on no signal of ours can end the process, it waits until somebody can act on it. Only the binary
//! includes this file; a test program wants to be stopped with Ctrl-C.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Blocks what `keepalived_rs::sys::signals` will read. It may not allocate, panic or use the standard library's runtime,
/// which does not exist yet.
extern "C" fn block_signals() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before anything reads it; the numbers are valid; the C library has relocated
    // itself before it calls initialisers, and these functions need no more of it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        let real_time = [libc::SIGRTMAX() - 1, libc::SIGRTMIN() + 2];
        let usual = [libc::SIGHUP, libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGUSR2];
        for number in usual.into_iter().chain(real_time) {
            libc::sigaddset(set.as_mut_ptr(), number);
        }
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

// SAFETY: the section holds pointers to functions of the C calling convention, and this is one.
#[used]
#[unsafe(link_section = ".preinit_array")]
static FIRST: extern "C" fn() = block_signals;
