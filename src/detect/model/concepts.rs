//! What words mean over the five languages: their class (`config/model/concepts.txt`) and their English
//! word (`config/model/glosses.txt`). Owns reading the tables and finding a word in them.

use std::collections::HashMap;

const CONCEPTS: &str = include_str!("../../../config/model/concepts.txt");
const GLOSSES: &str = include_str!("../../../config/model/glosses.txt");
/// Endings that Indonesian puts behind a word; tried longest first.
const ENDINGS: [&str; 6] = ["nya", "lah", "kan", "mu", "ku", "an"];
/// Shortest word that a class may name by its beginning.
const SHORTEST: usize = 3;

/// Classes and English words of words, classes of link paths.
#[derive(Debug)]
pub(super) struct Concepts {
    classes: Table,
    glosses: Table,
    links: HashMap<&'static str, LinkClass>,
}

/// Words, and beginnings of words, with what they mean.
#[derive(Debug, Default)]
struct Table {
    words: HashMap<&'static str, &'static str>,
    beginnings: HashMap<&'static str, &'static str>,
    longest: usize,
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
            Self { classes: Table::default(), glosses: Table::default(), links: HashMap::new() };
        for (name, word) in entries(CONCEPTS) {
            match name {
                "link.promotional" => drop(concepts.links.insert(word, LinkClass::Promotional)),
                "link.account" => drop(concepts.links.insert(word, LinkClass::Account)),
                _ => concepts.classes.add(name, word),
            }
        }
        for (name, word) in entries(GLOSSES) {
            concepts.glosses.add(name, word);
        }
        for (name, _) in entries(GLOSSES) {
            concepts.glosses.add(name, name);
        }
        concepts
    }

    /// The class of a folded word.
    pub(super) fn of_word(&self, word: &str) -> Option<&'static str> {
        self.classes.find(word)
    }

    /// The English word for a folded word of any of the five languages.
    pub(super) fn gloss(&self, word: &str) -> Option<&'static str> {
        let singular = || word.strip_suffix('s').and_then(|word| self.glosses.words.get(word).copied());
        self.glosses.find(word).or_else(singular)
    }

    /// The class of a word in a link's path.
    pub(super) fn of_link(&self, word: &str) -> Option<LinkClass> {
        self.links.get(word).copied()
    }
}

fn entries(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    lines.flat_map(|(name, words)| words.split_whitespace().map(move |word| (name, word)))
}

impl Table {
    fn add(&mut self, name: &'static str, word: &'static str) {
        match word.strip_suffix('*') {
            Some(beginning) => {
                self.longest = self.longest.max(beginning.len());
                self.beginnings.entry(beginning).or_insert(name);
            }
            None => {
                self.words.entry(word).or_insert(name);
            }
        }
    }

    fn find(&self, word: &str) -> Option<&'static str> {
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
        for word in ["free", "gratis", "kostenlose", "gratuitement"] {
            assert_eq!(concepts.gloss(word), Some("free"), "{word}");
        }
        assert_eq!(concepts.of_link("offers"), Some(LinkClass::Promotional));
        assert_eq!(concepts.of_link("invoices"), Some(LinkClass::Account));
    }
}
