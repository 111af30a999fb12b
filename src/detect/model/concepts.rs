//! Word classes over the five languages: `config/model/concepts.txt`. Owns reading the table and
//! finding a word's class.

use std::collections::HashMap;

/// The table.
const TABLE: &str = include_str!("../../../config/model/concepts.txt");
/// Endings that Indonesian puts behind a word; tried longest first.
const ENDINGS: [&str; 6] = ["nya", "lah", "kan", "mu", "ku", "an"];
/// Shortest word that a class may name by its beginning.
const SHORTEST: usize = 3;

/// Classes of words and of link paths.
#[derive(Debug)]
pub(super) struct Concepts {
    words: HashMap<&'static str, &'static str>,
    beginnings: HashMap<&'static str, &'static str>,
    longest: usize,
    links: HashMap<&'static str, LinkClass>,
}

/// Where a link leads, as its path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LinkClass {
    Promotional,
    Account,
}

impl Concepts {
    pub(super) fn built_in() -> Self {
        let mut concepts =
            Self { words: HashMap::new(), beginnings: HashMap::new(), longest: 0, links: HashMap::new() };
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        for (name, words) in lines.filter_map(|line| line.split_once(": ")) {
            for word in words.split_whitespace() {
                concepts.add(name, word);
            }
        }
        concepts
    }

    fn add(&mut self, name: &'static str, word: &'static str) {
        match (name, word.strip_suffix('*')) {
            ("link.promotional", _) => {
                self.links.insert(word, LinkClass::Promotional);
            }
            ("link.account", _) => {
                self.links.insert(word, LinkClass::Account);
            }
            (_, Some(beginning)) => {
                self.longest = self.longest.max(beginning.len());
                self.beginnings.entry(beginning).or_insert(name);
            }
            (_, None) => {
                self.words.entry(word).or_insert(name);
            }
        }
    }

    /// The class of a folded word.
    pub(super) fn of_word(&self, word: &str) -> Option<&'static str> {
        if let Some(name) = self.words.get(word) {
            return Some(name);
        }
        let longest = self.longest.min(word.len());
        let by_beginning = (SHORTEST..=longest)
            .rev()
            .find_map(|end| word.get(..end).and_then(|beginning| self.beginnings.get(beginning)));
        if let Some(name) = by_beginning {
            return Some(name);
        }
        ENDINGS
            .iter()
            .filter_map(|ending| word.strip_suffix(ending))
            .find_map(|stem| self.words.get(stem).filter(|_| stem.len() > SHORTEST))
            .copied()
    }

    /// The class of a word in a link's path.
    pub(super) fn of_link(&self, word: &str) -> Option<LinkClass> {
        self.links.get(word).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_classed_over_languages_and_endings() {
        let concepts = Concepts::built_in();
        for word in ["discover", "entdecken", "decouvrez", "temukan", "descubre"] {
            assert_eq!(concepts.of_word(word), Some("discover"), "{word}");
        }
        assert_eq!(concepts.of_word("hadiahnya"), Some("reward"));
        assert_eq!(concepts.of_word("okafor"), None);
        assert_eq!(concepts.of_link("offers"), Some(LinkClass::Promotional));
        assert_eq!(concepts.of_link("invoices"), Some(LinkClass::Account));
    }
}
