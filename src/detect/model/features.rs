//! What the model sees in a segment: its words, word pairs, pairs with one word between, beginnings of
//! long words, word classes and pairs of them, its place and the sort of its link. Owns the names of
//! features: the trainer and the scorer both come here, so what was learned is what is looked up.
//!
//! A feature's name is made of parts that are hashed one after the other, so that scoring writes no names.

use std::ops::Range;

use super::concepts::{Concepts, LinkClass};
use super::tokens::{self, Token};
use crate::detect::segment::PlaceKind;

/// A segment as the model sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Folded text.
    pub folded: &'a str,
    pub kind: PlaceKind,
    /// Where its button or link leads; empty when nowhere.
    pub target: &'a str,
    /// Promotional rules that fired in it, by id.
    pub rules: &'a [&'a str],
}

/// Takes features: the parts of the name, and the bytes of the folded text that it stands on.
pub(super) trait Sink {
    fn feature(&mut self, parts: &[&str], span: Range<usize>);
}

/// The 64-bit FNV-1a hash of a name in parts.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Letters of a word's beginning that stand for the word, and the shortest word that has one.
const STEM: usize = 5;

/// Gives all features of a segment to `sink`; some may come twice.
pub(super) fn extract<'a>(
    view: View<'a>,
    concepts: &Concepts,
    room: &mut Vec<Token<'a>>,
    sink: &mut impl Sink,
) {
    room.clear();
    tokens::cut(view.folded, room);
    words(room, sink);
    classes(room, concepts, sink);
    glosses(room, concepts, sink);
    match view.kind {
        PlaceKind::Subject => sink.feature(&["p:subject"], 0..0),
        PlaceKind::Quoted => sink.feature(&["p:quote"], 0..0),
        _ => {}
    }
    for rule in view.rules {
        sink.feature(&["r:", rule], 0..0);
    }
    links(view, room, concepts, sink);
}

fn words(tokens: &[Token<'_>], sink: &mut impl Sink) {
    let end = tokens.last().map_or(0, |token| token.span.end);
    let mut before: Option<&Token<'_>> = None;
    let mut second_before: Option<&Token<'_>> = None;
    for token in tokens {
        if token.text != "." {
            sink.feature(&[token.text], token.span.clone());
        }
        if let Some(stem) = stem(token.text) {
            sink.feature(&[stem, "~"], token.span.clone());
        }
        let first = before.map_or("^", |before| before.text);
        let from = before.map_or(0, |before| before.span.start);
        sink.feature(&[first, " ", token.text], from..token.span.end);
        if before.is_some() {
            let first = second_before.map_or("^", |before| before.text);
            let from = second_before.map_or(0, |before| before.span.start);
            sink.feature(&[first, " _ ", token.text], from..token.span.end);
        }
        second_before = before;
        before = Some(token);
    }
    if let Some(last) = before {
        sink.feature(&[last.text, " $"], last.span.start..end);
        let first = second_before.map_or("^", |before| before.text);
        sink.feature(&[first, " _ $"], second_before.map_or(0, |before| before.span.start)..end);
    }
}

fn stem(word: &str) -> Option<&str> {
    if word.starts_with('<') {
        return None;
    }
    let (end, _) = word.char_indices().nth(STEM)?;
    word.get(..end)
}

/// A word class of the table, or one of the tokenizer's.
#[derive(Clone)]
struct Class {
    mark: &'static str,
    name: &'static str,
    span: Range<usize>,
}

fn classes(tokens: &[Token<'_>], concepts: &Concepts, sink: &mut impl Sink) {
    let mut before: Option<Class> = None;
    let mut second_before: Option<Class> = None;
    for token in tokens {
        let Some((mark, name)) = class_of(token.text, concepts) else { continue };
        let class = Class { mark, name, span: token.span.clone() };
        if mark == "@" {
            sink.feature(&["@", name], class.span.clone());
        }
        if let Some(before) = &before {
            let span = before.span.start..class.span.end;
            sink.feature(&[before.mark, before.name, "+", mark, name], span);
            if let Some(second) = second_before.as_ref().filter(|_| before.name != ".") {
                let span = second.span.start..class.span.end;
                sink.feature(&[second.mark, second.name, "++", mark, name], span);
            }
        }
        second_before = before;
        before = Some(class);
    }
}

/// English words for words, and pairs of them within a sentence, whatever stands between.
fn glosses(tokens: &[Token<'_>], concepts: &Concepts, sink: &mut impl Sink) {
    let mut before: Option<(&str, usize)> = None;
    for token in tokens {
        if matches!(token.text, "." | "!" | "?" | "|") {
            before = None;
            continue;
        }
        let is_class = token.text.starts_with('<');
        let gloss = if is_class { Some(token.text) } else { concepts.gloss(token.text) };
        let Some(gloss) = gloss else { continue };
        if !is_class {
            sink.feature(&["=", gloss], token.span.clone());
        }
        if let Some((first, start)) = before {
            sink.feature(&["=", first, " ", gloss], start..token.span.end);
        }
        before = Some((gloss, token.span.start));
    }
}

/// The classes that stand in sequences of classes; a word's class is marked `@`.
fn class_of(text: &str, concepts: &Concepts) -> Option<(&'static str, &'static str)> {
    const CLASSES: [&str; 15] = [
        "<money>", "<pct>", "<time>", "<date>", "<month>", "<day>", "<id>", "<num>", "<url>", "<mail>",
        "<name>", "!", "?", ".", "|",
    ];
    match CLASSES.iter().find(|class| **class == text) {
        Some(class) => Some(("", class)),
        None => concepts.of_word(text).map(|name| ("@", name)),
    }
}

fn links(view: View<'_>, tokens: &[Token<'_>], concepts: &Concepts, sink: &mut impl Sink) {
    if !view.target.is_empty() {
        link(view.target, 0..0, concepts, sink);
    }
    for token in tokens.iter().filter(|token| token.text == "<url>") {
        if let Some(url) = view.folded.get(token.span.clone()) {
            link(url, token.span.clone(), concepts, sink);
        }
    }
}

/// Which sort of place a link leads to, by the words of its path. Its query is left out: campaign tags stand
/// on the links of service messages, too.
fn link(url: &str, span: Range<usize>, concepts: &Concepts, sink: &mut impl Sink) {
    let Some((_, rest)) = url.split_once("://") else { return };
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let (mut promotional, mut account) = (false, false);
    for word in path.split(|c: char| !c.is_ascii_alphabetic()) {
        match concepts.of_link(word) {
            Some(LinkClass::Promotional) => promotional = true,
            Some(LinkClass::Account) => account = true,
            None => {}
        }
    }
    for (holds, name) in [(promotional, "u:promotional"), (account, "u:account")] {
        if holds {
            sink.feature(&[name], span.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Names(Vec<String>);

    impl Sink for Names {
        fn feature(&mut self, parts: &[&str], _: Range<usize>) {
            assert_eq!(hash(parts), hash(&[&parts.concat()]));
            self.0.push(parts.concat());
        }
    }

    #[test]
    fn features_are_words_pairs_and_classes() {
        let mut names = Names::default();
        let view = View {
            folded: "discover our 20% offer",
            kind: PlaceKind::Button,
            target: "https://a.example/offers?utm_source=x",
            rules: &["offer.money-off"],
        };
        extract(view, &Concepts::built_in(), &mut Vec::new(), &mut names);
        for name in [
            "discover",
            "^ discover",
            "discover our",
            "discover _ <pct>",
            "offer $",
            "disco~",
            "@discover",
            "@discover+@we",
            "<pct>+@offer",
            "@we++@offer",
            "u:promotional",
            "r:offer.money-off",
        ] {
            assert!(names.0.iter().any(|found| found == name), "{name} is not in {:?}", names.0);
        }
    }
}
