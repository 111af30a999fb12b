//! The evaluation as a page of text.

use std::fmt::Write as _;

use super::{Compared, Point, Report, Row};

/// Pieces of evidence shown per error.
const EVIDENCE: usize = 3;

pub(super) fn render(report: &Report) -> String {
    let mut page = String::new();
    table(&mut page, "By language", &report.languages);
    table(&mut page, "By language, borderline messages left out", &report.without_borderline);
    table(&mut page, "By source", &report.sources);
    curve(&mut page, &report.threshold_curve);
    let _ = writeln!(page, "\nReliability\n\n  score        messages  mean score  promotional");
    for bin in &report.reliability {
        let _ = writeln!(
            page,
            "  {:.1} to {:.1}  {:10}  {:10.2}  {:11.2}",
            bin.from, bin.to, bin.messages, bin.mean_score, bin.promotional
        );
    }
    let _ = writeln!(page, "\nWorst errors");
    for error in &report.worst {
        show_error(&mut page, error);
    }
    page
}

fn table(page: &mut String, title: &str, rows: &[Row]) {
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(8);
    let _ = writeln!(
        page,
        "\n{title}\n\n  {:width$}  label      messages  service  mixed  marketing  none  promotional",
        ""
    );
    for row in rows {
        let counts = &row.counts;
        let _ = writeln!(
            page,
            "  {:width$}  {:9}  {:8}  {:7}  {:5}  {:9}  {:4}  {:9.1} %",
            row.name,
            row.label.as_str(),
            counts.messages,
            counts.service,
            counts.mixed,
            counts.marketing,
            counts.no_verdict,
            counts.promotional()
        );
    }
}

fn curve(page: &mut String, points: &[Point]) {
    let _ = writeln!(
        page,
        "\nBy threshold\n\n  language  threshold  false alarms   mixed found  marketing found"
    );
    for point in points {
        let _ = writeln!(
            page,
            "  {:8}  {:9.2}  {:10.1} %  {:10.1} %  {:13.1} %",
            point.language, point.threshold, point.false_alarms, point.mixed, point.marketing
        );
    }
}

fn show_error(page: &mut String, error: &Compared) {
    let verdict = error.verdict.map_or("no verdict", |verdict| verdict.as_str());
    let borderline = if error.borderline { ", borderline" } else { "" };
    let _ = writeln!(
        page,
        "\n  {} ({}, {}{borderline}): labelled {}, judged {verdict}, score {:.3}",
        visible(&error.id),
        visible(&error.source),
        error.language,
        error.label,
        error.score
    );
    for evidence in error.evidence.iter().take(EVIDENCE) {
        let quote = visible(&evidence.quote);
        let _ = writeln!(
            page,
            "    {:+.1}  {} in {}: \"{quote}\"",
            evidence.weight, evidence.rule, evidence.place
        );
    }
}

/// A message must not steer the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
