//! The binary: everything is in the library, but for the instructions that come before `main`.

#[path = "sys/early.rs"]
mod early;

fn main() -> std::process::ExitCode {
    keepalived_rs::cli::run()
}
