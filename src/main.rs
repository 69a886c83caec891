//! The binary: everything is in the library.

fn main() -> std::process::ExitCode {
    keepalived_rs::cli::run()
}
