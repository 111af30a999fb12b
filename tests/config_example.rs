//! The commented example configuration tells the truth: it can be used as it stands, and the values in its
//! comments are the defaults.

use std::path::Path;

use consentry::config::{self, Config};

const EXAMPLE: &str = include_str!("../config/consentry.toml");

/// Keys whose commented value is an example, not a default.
const EXAMPLES: [&str; 11] = [
    "[[user]]",
    "name",
    "password_hash",
    "hostname",
    "tls_certificate",
    "tls_key",
    "tls_name",
    "tls_ca",
    "username",
    "password_file",
    "password_env",
];

fn parsed(text: &str) -> Config {
    config::parse(text, Path::new("consentry.toml")).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn commented_values_are_the_defaults() {
    let is_default = |line: &&str| {
        let key = line.split(' ').next().unwrap_or_default();
        let is_key = line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (is_key || line.starts_with('[')) && !EXAMPLES.contains(&key)
    };
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(is_default).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(uncommented.lines().filter(|line| !line.starts_with('#')).count() > 50, "{uncommented}");
    let show = |config: &Config| toml::to_string_pretty(config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(show(&parsed(&uncommented)), show(&parsed(EXAMPLE)));
}

#[test]
fn every_key_is_in_the_example() {
    let all = toml::to_string_pretty(&parsed(EXAMPLE)).unwrap_or_else(|error| panic!("{error}"));
    for line in all.lines().filter(|line| line.contains(" = ")) {
        let key = line.split(' ').next().unwrap_or_default();
        assert!(EXAMPLE.contains(&format!("{key} = ")), "{key} is not in the example");
    }
}
