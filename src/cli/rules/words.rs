//! A rule's patterns as a reader can read them: regular expressions turned into words with a few signs.

use std::collections::BTreeMap;

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{Ast, ClassPerlKind, Repetition, RepetitionKind, RepetitionRange};

/// The signs, and what they mean.
pub(super) const LEGEND: [(&str, &str); 9] = [
    ("(a | b)", "a or b"),
    ("[a]", "a, or nothing"),
    ("…", "up to 40 characters of the same sentence; .. up to 15"),
    ("word-", "the word with any ending"),
    ("WORD", "any one word"),
    ("NUMBER", "digits, or a small number in words"),
    ("MONEY", "an amount with its currency"),
    ("PERCENT", "a percentage"),
    ("REWARD", "an amount or percentage, if one follows"),
];

/// Our own words of a pattern, each as a character that no text has while the pattern is parsed.
const OWN: [(&str, char, &str); 6] = [
    ("<reward>", '\u{e000}', " [REWARD]"),
    ("<money>", '\u{e001}', "MONEY"),
    ("<pct>", '\u{e002}', "PERCENT"),
    ("<gap>", '\u{e003}', " … "),
    ("<g>", '\u{e004}', " .. "),
    ("<num>", '\u{e005}', "NUMBER"),
];

/// The pattern in words; the expression itself where it cannot be taken apart.
pub(super) fn of(pattern: &str) -> String {
    let source =
        OWN.iter().fold(pattern.to_owned(), |text, (own, sign, _)| text.replace(own, &sign.to_string()));
    match Parser::new().parse(&source) {
        Ok(ast) => tidy(&render(&source, &ast)),
        Err(_) => pattern.to_owned(),
    }
}

/// A rule's patterns, the languages in the order of the project.
pub(super) fn in_order(patterns: &BTreeMap<String, Vec<String>>) -> Vec<(&str, &[String])> {
    const FIRST: [&str; 5] = ["en", "id", "de", "fr", "es"];
    let rank = |language: &str| FIRST.iter().position(|first| *first == language).unwrap_or(FIRST.len());
    let mut all: Vec<_> =
        patterns.iter().map(|(language, all)| (language.as_str(), all.as_slice())).collect();
    all.sort_by_key(|(language, _)| rank(language));
    all
}

/// A language's name.
pub(super) fn language(code: &str) -> &str {
    match code {
        "en" => "English",
        "id" => "Indonesian",
        "de" => "German",
        "fr" => "French",
        "es" => "Spanish",
        "any" => "any language",
        other => other,
    }
}

fn render(source: &str, ast: &Ast) -> String {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) => String::new(),
        Ast::Literal(literal) => {
            let own = OWN.iter().find(|(_, sign, _)| *sign == literal.c);
            own.map_or_else(|| literal.c.to_string(), |(.., word)| (*word).to_owned())
        }
        // In the table a dot stands for an apostrophe of any form.
        Ast::Dot(_) => "'".to_owned(),
        Ast::Assertion(_) => "(end)".to_owned(),
        Ast::ClassPerl(class) => match class.kind {
            ClassPerlKind::Digit => "NUMBER".to_owned(),
            ClassPerlKind::Space => " ".to_owned(),
            ClassPerlKind::Word => "WORD".to_owned(),
        },
        Ast::ClassUnicode(_) | Ast::ClassBracketed(_) => class(written(source, ast)),
        Ast::Repetition(repetition) => repeated(source, repetition),
        Ast::Group(group) => match &*group.ast {
            inner @ Ast::Alternation(_) => format!("({})", render(source, inner)),
            inner => render(source, inner),
        },
        Ast::Alternation(alternation) => {
            alternation.asts.iter().map(|branch| render(source, branch)).collect::<Vec<_>>().join(" | ")
        }
        Ast::Concat(concat) => concat.asts.iter().fold(String::new(), |mut text, part| {
            let is_ending =
                text.ends_with(|c: char| c.is_alphabetic() || matches!(c, ')' | ']')) && is_word(part);
            text.push_str(if is_ending { "-" } else { "" });
            if !is_ending {
                text.push_str(&render(source, part));
            }
            text
        }),
    }
}

/// Whether this is `\w+` or `\w*`.
fn is_word(ast: &Ast) -> bool {
    let Ast::Repetition(repetition) = ast else { return false };
    matches!(&*repetition.ast, Ast::ClassPerl(class) if class.kind == ClassPerlKind::Word)
        && !matches!(repetition.op.kind, RepetitionKind::ZeroOrOne)
}

fn repeated(source: &str, repetition: &Repetition) -> String {
    let inner = render(source, &repetition.ast);
    let is_class = matches!(&*repetition.ast, Ast::ClassBracketed(_));
    let alternatives = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let bare = match (&*repetition.ast, alternatives) {
        (Ast::Group(group), Some(inside)) if matches!(&*group.ast, Ast::Alternation(_)) => inside,
        _ => &inner,
    };
    match &repetition.op.kind {
        _ if is_class && matches!(inner.as_str(), " " | " … " | "WORD") => inner,
        RepetitionKind::OneOrMore => inner,
        RepetitionKind::Range(RepetitionRange::Bounded(_, most)) if *most > 1 => {
            format!("[{} up to {most} times] ", bare.trim())
        }
        RepetitionKind::Range(_) => inner,
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => {
            let (before, after) = (bare.starts_with(' '), bare.ends_with(' '));
            let space = |there| if there { " " } else { "" };
            match bare.trim() {
                "" => " ".to_owned(),
                words => format!("{}[{words}]{}", space(before), space(after)),
            }
        }
    }
}

/// A set of characters, by what it is in the table for.
fn class(written: &str) -> String {
    let inside = written.trim_start_matches('[').trim_end_matches(']');
    if inside.starts_with('^') {
        return " … ".to_owned();
    }
    if inside.contains("a-z") {
        return "WORD".to_owned();
    }
    if inside.contains([' ', '-']) {
        return " ".to_owned();
    }
    let members: Vec<String> = inside.replace("\\t", "").chars().map(String::from).collect();
    match &members[..] {
        [one] => one.clone(),
        _ => format!("({})", members.join("|")),
    }
}

fn written<'a>(source: &'a str, ast: &Ast) -> &'a str {
    source.get(ast.span().start.offset..ast.span().end.offset).unwrap_or_default()
}

/// Single blanks, none inside brackets.
fn tidy(text: &str) -> String {
    let mut tidy = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in
        [(" )(", ") ("), (" )[", ") ["), ("( ", "("), (" )", ")"), ("[ ", "["), (" ]", "]"), ("][", "] [")]
    {
        tidy = tidy.replace(from, to);
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_put_in_words() {
        for (pattern, words) in [
            (
                "spend(?:ing)? <money>(?: or more)?<gap>(?:get|earn)<reward>",
                "spend[ing] MONEY [or more] … (get | earn) [REWARD]",
            ),
            ("you.?ll (?:love|adore)", "you[']ll (love | adore)"),
            (r"verlos\w+ <pct>[- ]off", "verlos- PERCENT off"),
            (r"(?:\w+ ){0,3}deals?", "[WORD up to 3 times] deal[s]"),
            ("[^.!?]{0,40}a[sz]", "… a(s|z)"),
            (r"code [a-z0-9-]{3,20} \d+", "code WORD NUMBER"),
        ] {
            assert_eq!(of(pattern), words, "{pattern}");
        }
    }
}
