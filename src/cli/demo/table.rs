//! The demo's table. Rows in, text out: owns widths and colours, reads nothing.

use std::fmt::Write as _;

use crate::cli::terminal::Terminal;

/// How the table is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether colours may be used.
    pub colour: bool,
}

impl Look {
    /// As wide as standard output, and in its colours.
    pub fn of_terminal() -> Self {
        let terminal = Terminal::stdout();
        Self { width: terminal.width_or(DEFAULT_WIDTH), colour: terminal.colour }
    }
}

/// One message's row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the message shows.
    pub shows: &'static str,
    /// The recipients with their consents.
    pub to: Vec<(String, &'static str)>,
    /// Class and score; `None` when there is no record of a verdict.
    pub verdict: Option<(String, f32)>,
    /// Whether the message was promotional without consent, by the record.
    pub withhold: bool,
    /// Whether the outbound server holds it.
    pub delivered: bool,
    /// The reply to the message that the mailer heard, on one line.
    pub reply: String,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// The width where nobody says one.
const DEFAULT_WIDTH: usize = 110;
/// The least width at which the columns keep their meaning.
const MIN_WIDTH: usize = 80;
const NUMBER: usize = 2;
const CONSENT: usize = 11;
const VERDICT: usize = 14;
const DELIVERED: usize = 9;
const GAP: usize = 2;

/// Draws the rows under their headings. Each row's second line is what the mailer heard.
pub fn draw(rows: &[Row], look: Look) -> String {
    let width = look.width.max(MIN_WIDTH);
    let fixed = NUMBER + CONSENT + VERDICT + DELIVERED + 5 * GAP + 1;
    let free = width.saturating_sub(fixed);
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let to = longest(&mut rows.iter().flat_map(|row| &row.to).map(|(to, _)| to.chars().count()))
        .clamp(2, free / 2);
    let shows = longest(&mut rows.iter().map(|row| row.shows.chars().count())).clamp(7, free - to);

    let mut text = String::new();
    let heading = format!(
        " {:>NUMBER$}  {:<shows$}  {:<to$}  {:<CONSENT$}  {:<VERDICT$}  {}",
        "#", "message", "to", "consent", "verdict", "delivered"
    );
    let _ = writeln!(text, "{}", paint(heading.trim_end(), BOLD, look));
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut text, index + 1, row, (shows, to), look);
        for line in wrap(&row.reply, width - NUMBER - GAP - 1) {
            let style = if row.reply.starts_with('2') { DIM } else { RED };
            let _ = writeln!(text, " {:>NUMBER$}  {}", "", paint(&line, style, look));
        }
    }
    text
}

fn draw_row(text: &mut String, number: usize, row: &Row, (shows, to): (usize, usize), look: Look) {
    let verdict = match &row.verdict {
        Some((class, score)) => format!("{class:<9} {score:.2}"),
        None => "none".to_owned(),
    };
    let promotional = row.verdict.as_ref().is_none_or(|(class, _)| class != "service");
    let verdict = paint(&fit(&verdict, VERDICT), if promotional { YELLOW } else { GREEN }, look);
    let delivered = match (row.delivered, row.withhold) {
        (true, false) => paint("yes", GREEN, look),
        (true, true) => paint("yes (!)", YELLOW, look),
        (false, _) => paint("no", RED, look),
    };
    for (index, (address, consent)) in row.to.iter().enumerate() {
        let (address, consent) = (fit(address, to), fit(consent, CONSENT));
        let _ = if index == 0 {
            let first = fit(row.shows, shows);
            writeln!(text, " {number:>NUMBER$}  {first}  {address}  {consent}  {verdict}  {delivered}")
        } else {
            let line = format!(" {:NUMBER$}  {:shows$}  {address}  {consent}", "", "");
            writeln!(text, "{}", line.trim_end())
        };
    }
}

/// Puts a style round `text` where colours may be used.
fn paint(text: &str, style: &str, look: Look) -> String {
    if look.colour { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// A heading over a part of the output.
pub fn heading(text: &str, look: Look) -> String {
    paint(text, BOLD, look)
}

/// A sentence that tells of success.
pub fn good(text: &str, look: Look) -> String {
    paint(text, GREEN, look)
}

/// A sentence that tells of failure.
pub fn bad(text: &str, look: Look) -> String {
    paint(text, RED, look)
}

/// Pads or cuts to exactly `width` characters; a cut shows an ellipsis.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Breaks at blanks into lines of at most `width` characters; a longer word stands alone.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
            lines.push(String::new());
            length = 0;
        }
        if let Some(line) = lines.last_mut() {
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += word_length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { width: 80, colour: false };

    fn row() -> Row {
        Row {
            shows: "two people, one refused: all or nothing at all for anybody",
            to: vec![
                ("amina@hussain.example".into(), "opted in"),
                ("daniel@price.example".into(), "opted out"),
            ],
            verdict: Some(("marketing".into(), 0.97)),
            withhold: true,
            delivered: false,
            reply: format!("550 5.7.1 {}", "Marketing content without consent ".repeat(5).trim()),
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [80, 90, 100, 200] {
            let text = draw(&[row(), row()], Look { width, ..PLAIN });
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
            }
            assert!(text.contains("daniel@price.ex") && text.contains("opted out"), "{text}");
        }
    }

    #[test]
    fn the_whole_reply_is_shown() {
        let text = draw(&[row()], PLAIN);
        let words: Vec<&str> = text.split_whitespace().collect();
        let reply = row().reply;
        let said: Vec<&str> = reply.split_whitespace().collect();
        assert!(words.windows(said.len()).any(|window| window == said), "{text}");
    }

    #[test]
    fn colour_only_where_it_is_wanted() {
        assert!(!draw(&[row()], PLAIN).contains('\u{1b}'));
        assert!(draw(&[row()], Look { colour: true, ..PLAIN }).contains("\u{1b}[31mno\u{1b}[0m"));
    }
}
