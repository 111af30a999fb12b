//! The `consentry` command: parses the command line and hands over to [`consentry::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    consentry::cli::main()
}
