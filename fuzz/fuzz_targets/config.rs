//! Any text is a configuration or an error that names a line of it.
#![no_main]

use std::path::Path;

use consentry::config::{ConfigError, parse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(ConfigError::Invalid { line, .. }) = parse(text, Path::new("consentry.toml")) {
        assert!((1..=text.matches('\n').count() + 1).contains(&line));
    }
});
