//! Memory that is not needed any longer.
#![allow(unsafe_code)]

/// Gives what has been freed back to the kernel. Worth its few hundred microseconds after something large: a
/// configuration has been read, everything has been started. The C library keeps freed memory for later otherwise.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has freed memory go back by itself, here and in every thread. By default the C library keeps the more, the larger the
/// pieces were that it has seen: reading a configuration once would set it for life.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (parameter, bytes) in
        [(libc::M_MMAP_THRESHOLD, 64 << 10), (libc::M_TRIM_THRESHOLD, 64 << 10), (libc::M_TOP_PAD, 16 << 10)]
    {
        // SAFETY: no preconditions; a value that the allocator does not like is refused.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}
