//! The rules as people read them: docs/rules.md is what the program prints, every rule can be looked up.

use std::path::Path;
use std::process::{Command, Output};

use consentry::detect::Detector;

fn rules(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry"))
        .arg("rules")
        .args(arguments)
        .env_remove("CONSENTRY_CONFIG")
        .env_remove("COLUMNS")
        .output()
        .expect("the program")
}

fn printed(arguments: &[&str]) -> String {
    let output = rules(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_page_is_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let printed = printed(&["page"]);
    let first = printed.lines().zip(committed.lines()).position(|(a, b)| a != b);
    assert!(
        committed == printed,
        "docs/rules.md is not what the rules say (line {}). Renew it:\n\n    cargo run -- rules page > docs/rules.md\n",
        first.unwrap_or_else(|| printed.lines().count().min(committed.lines().count())) + 1
    );
}

#[test]
fn every_rule_has_reason_law_and_examples_on_both_sides() {
    let detector = Detector::new().expect("rules");
    for rule in detector.rules() {
        assert!(rule.fires.len() >= 2, "{}: fewer than two examples", rule.id);
        assert!(rule.spares.len() >= 2, "{}: fewer than two near misses", rule.id);
        assert!(
            rule.why.split_whitespace().count() >= 9,
            "{}: the reason says little: {}",
            rule.id,
            rule.why
        );
        // A statute, a ruling or guidance, with a place to look it up.
        assert!(
            rule.law.chars().any(|c| c.is_ascii_digit()) || rule.law.contains("guidance"),
            "{}",
            rule.law
        );
    }
}

#[test]
fn the_list_has_every_rule_in_eighty_columns() {
    let detector = Detector::new().expect("rules");
    let list = printed(&["list"]);
    for line in list.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let lines: Vec<serde_json::Value> =
        printed(&["list", "--json"]).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), detector.rules().len());
    for rule in detector.rules() {
        assert!(list.contains(&rule.id), "{}", rule.id);
    }
}

#[test]
fn a_rule_is_shown_in_full() {
    let page = printed(&["show", "offer.spend-incentive"]);
    for expected in [
        "A reward for spending",
        "American Express",
        "Spend £500 and get £50 back",
        "You spent £500 in May",
        "English",
    ] {
        assert!(
            page.split_whitespace().collect::<Vec<_>>().join(" ").contains(expected),
            "{expected}: {page}"
        );
    }
    for line in page.lines().filter(|line| line.contains(' ')) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["show", "--json", "offer.spend-incentive"])).expect("JSON");
    assert_eq!((&json["weight"], &json["counts_as"]), (&5.0.into(), &"promotional".into()));
    assert!(
        json["patterns"][0]["words"].is_string() && json["fires"].as_array().is_some_and(|f| f.len() > 1)
    );
}

#[test]
fn an_unknown_rule_is_answered_with_the_nearest() {
    let output = rules(&["show", "offer.spend"]);
    assert_eq!(output.status.code(), Some(66));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(error, "consentry: there is no rule `offer.spend`; did you mean `offer.spend-incentive`?\n");
}
