//! What a stream of this process is written to: a terminal or not, how wide, and whether in colour. One
//! answer for all commands.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Where a command writes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether it is a terminal; otherwise a file or another program reads.
    pub is_terminal: bool,
    /// Whether colours may be used: on a terminal, unless `NO_COLOR` is set or the terminal is a dumb one.
    pub colour: bool,
    /// Columns, where somebody says how many.
    columns: Option<usize>,
}

impl Terminal {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// Standard error.
    pub(crate) fn stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    /// Its columns; if nobody knows them, as many as a page for paper or a pipe should have.
    pub(crate) fn width_or(&self, otherwise: usize) -> usize {
        self.columns.unwrap_or(otherwise)
    }

    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let is_terminal = stream.is_terminal();
        let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
        let columns = rustix::termios::tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
        Self {
            is_terminal,
            colour: is_terminal
                && may_colour(std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref()),
            columns: columns.filter(|&columns| columns > 0).or_else(asked).filter(|&columns| columns > 0),
        }
    }
}

/// What the environment says of colours (no-color.org: set and not empty means none).
fn may_colour(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// Text in lines of at most `width` columns, broken between words.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match rows.last_mut() {
            Some(row) if row.chars().count() + 1 + word.chars().count() <= width => {
                row.push(' ');
                row.push_str(word);
            }
            _ => rows.push(word.to_owned()),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_can_forbid_colours() {
        let of = |no_color: Option<&str>, term: Option<&str>| {
            may_colour(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(of(None, Some("xterm")) && of(Some(""), Some("xterm")) && of(None, None));
        assert!(!of(Some("1"), Some("xterm")) && !of(None, Some("dumb")));
    }

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("one two  three\nfour", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("unbreakable", 4), ["unbreakable"]);
        assert!(wrap(" ", 4).is_empty());
    }
}
