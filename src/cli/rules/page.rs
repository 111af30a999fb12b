//! The page about all rules, docs/rules.md.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{all_places, weight, words};
use crate::detect::Rule;

const COUNTRIES: &str = include_str!("../../../config/rules/countries.toml");

/// The groups of rules, by the first word of their ids.
const GROUPS: [(&str, &str, &str); 8] = [
    (
        "offer",
        "Offers",
        "Devices that put a price, a saving, a gift, a prize or a deadline before the reader.",
    ),
    (
        "relation",
        "Relations",
        "Devices that make more of a relation that exists: referral, upgrade, renewal, points, app, consent.",
    ),
    (
        "nudge",
        "Nudges",
        "Short calls, announcements and praise: what surrounds an offer, or is one in itself.",
    ),
    ("aims", "Aims", "Promotion that sells no goods: donations, campaigns, events."),
    ("link", "Links", "Where links lead."),
    ("file", "Files", "What images and attachments are called."),
    ("claim", "Claims", "What the sender says of the message. It never lowers a score."),
    (
        "context",
        "Context",
        "Neutral words that take weight from promotional ones in the same sentence, where those are facts.",
    ),
];
const SERVICE: (&str, &str, &str) = (
    "service",
    "Service content",
    "What a service message is about. It tells mixed from marketing, and never makes promotion neutral.",
);

const HEAD: &str = "\
# The rules

<!-- Made by `consentry rules page > docs/rules.md`; a test compares. Change config/rules/, not this file. -->

A rule names a device by which messages promote, says why it counts and on which law, ruling or guidance
that rests, and has the words that it looks for, examples on which it fires, and near misses on which it must not.
The examples are tests. Evidence, refusals and audit records name rules by their ids; `consentry rules show ID`
has the same text as here.

How rules make a verdict: each segment of a message (subject, paragraph, button, link, picture's text) is judged on its
own. The weights of the rules that fire in it are added as log-odds, the strongest in full, each further one less, and
a model adds what all its words weigh ([model.md](model.md)). The strongest segments decide, however much neutral text
stands around them. A weight of 1 makes promotion about three times as likely as before, 2 seven times, 4 fifty times.

The rules are evidence, not law: whether a message needs consent is decided by the law of the reader's country.
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Countries {
    country: Vec<Country>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Country {
    name: String,
    statutes: String,
    says: String,
}

/// The page. The error is a fault in the table of countries, which is part of the program.
pub(super) fn page(rules: &[Rule]) -> Result<String, String> {
    let Countries { country } = toml::from_str(COUNTRIES)
        .map_err(|error| format!("config/rules/countries.toml is not a table of countries: {error}"))?;
    let mut page = String::from(HEAD);
    let _ = writeln!(
        page,
        "\n## Where consent is asked for\n\n| country | statutes | what they say |\n|---|---|---|"
    );
    for Country { name, statutes, says } in &country {
        let _ = writeln!(page, "| {name} | {statutes} | {says} |");
    }
    let _ = writeln!(page, "\n## All rules\n\n| rule | device | weight |\n|---|---|---|");
    for rule in rules {
        let _ = writeln!(
            page,
            "| [{0}](#{1}) | {2} | {3:+.1} |",
            rule.id,
            anchor(&rule.id),
            rule.title,
            rule.weight
        );
    }
    let _ = writeln!(page, "\n## How to read the words\n\n| sign | stands for |\n|---|---|");
    for (sign, meaning) in words::LEGEND {
        let _ = writeln!(page, "| `{}` | {meaning} |", sign.replace('|', "\\|"));
    }
    for (prefix, title, about) in GROUPS.into_iter().chain([SERVICE]) {
        let _ = writeln!(page, "\n## {title}\n\n{about}");
        for rule in rules.iter().filter(|rule| group(rule) == prefix) {
            one(&mut page, rule);
        }
    }
    Ok(page)
}

fn group(rule: &Rule) -> &str {
    rule.id.split('.').next().unwrap_or_default()
}

fn anchor(id: &str) -> String {
    id.replace('.', "")
}

fn one(page: &mut String, rule: &Rule) {
    let _ = writeln!(page, "\n### {}\n\n**{}.** {}\n", rule.id, rule.title, rule.why);
    let _ = writeln!(page, "- Rests on: {}", rule.law);
    let _ = writeln!(page, "- Weight: {}", weight(rule));
    let _ = writeln!(page, "- Looked for in: {}", all_places(rule));
    examples(page, "Fires on", &rule.fires);
    examples(page, "Does not fire on", &rule.spares);
    let _ = writeln!(page, "\n<details><summary>Words</summary>\n");
    for (language, written) in words::in_order(&rule.patterns) {
        let _ = writeln!(page, "{}:\n", capitalised(words::language(language)));
        patterns(page, written);
    }
    if !rule.unless.is_empty() {
        let _ = writeln!(page, "Not where they overlap:\n");
        patterns(page, &rule.unless);
    }
    let _ = writeln!(page, "</details>");
}

fn patterns(page: &mut String, written: &[String]) {
    for pattern in written {
        let _ = writeln!(page, "- `{}`", words::of(pattern));
    }
    let _ = writeln!(page);
}

fn examples(page: &mut String, title: &str, texts: &[String]) {
    let _ = writeln!(page, "\n{title}:\n");
    for text in texts {
        let _ = writeln!(page, "- “{text}”");
    }
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;

    #[test]
    fn every_rule_has_its_group() {
        let detector = Detector::new().expect("rules");
        let page = page(detector.rules()).expect("page");
        for rule in detector.rules() {
            assert!(page.contains(&format!("\n### {}\n", rule.id)), "{} has no group", rule.id);
        }
    }
}
