//! Cuts folded text into the words that the model counts: numbers, amounts, dates, addresses and
//! names become classes, so that what is learned of one amount holds for all. One pass, no copies.

use std::ops::Range;

/// A word, or the class of one, and where it stands in the folded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub text: &'a str,
    pub span: Range<usize>,
}

const MONTHS: [&str; 57] = [
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "jan",
    "feb",
    "mar",
    "apr",
    "jun",
    "jul",
    "aug",
    "sep",
    "sept",
    "oct",
    "nov",
    "dec",
    "januari",
    "februari",
    "maret",
    "juni",
    "juli",
    "agustus",
    "oktober",
    "desember",
    "januar",
    "februar",
    "marz",
    "dezember",
    "janvier",
    "fevrier",
    "avril",
    "mai",
    "juin",
    "juillet",
    "aout",
    "septembre",
    "octobre",
    "novembre",
    "decembre",
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "diciembre",
];
const DAYS: [&str; 35] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "senin",
    "selasa",
    "rabu",
    "kamis",
    "jumat",
    "sabtu",
    "minggu",
    "montag",
    "dienstag",
    "mittwoch",
    "donnerstag",
    "freitag",
    "samstag",
    "sonntag",
    "lundi",
    "mardi",
    "mercredi",
    "jeudi",
    "vendredi",
    "samedi",
    "dimanche",
    "lunes",
    "martes",
    "miercoles",
    "jueves",
    "viernes",
    "sabado",
    "domingo",
];
/// Words behind which a name stands.
const GREETINGS: [&str; 15] = [
    "dear", "hi", "hello", "hey", "halo", "hai", "yth", "bonjour", "hallo", "liebe", "lieber", "hola",
    "estimado", "estimada", "chere",
];
/// Words of a name behind a greeting.
const LONGEST_NAME: usize = 4;
const CURRENCIES: [&str; 14] =
    ["rp", "idr", "usd", "eur", "euro", "euros", "gbp", "rm", "rs", "chf", "aud", "sgd", "rupiah", "dollars"];
const THOUSANDS: [&str; 8] = ["k", "rb", "ribu", "jt", "juta", "m", "million", "pounds"];
const PERCENT: [&str; 4] = ["percent", "persen", "prozent", "pct"];

/// Cuts `folded` into tokens, appended to `tokens`.
pub(super) fn cut<'a>(folded: &'a str, tokens: &mut Vec<Token<'a>>) {
    let mut cutter = Cutter { folded, at: 0, name: 0, first: true };
    while let Some(token) = cutter.next() {
        tokens.push(token);
    }
}

struct Cutter<'a> {
    folded: &'a str,
    at: usize,
    /// Words that still can be part of a name.
    name: usize,
    first: bool,
}

impl<'a> Cutter<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let start = self.at;
            let character = self.folded[start..].chars().next()?;
            self.at += character.len_utf8();
            let text = match character {
                '0'..='9' => Some(self.number(start)),
                '£' | '€' | '$' | '¥' | '₹' => self.amount_behind_sign(),
                '!' => self.stop("!"),
                '?' => self.stop("?"),
                '.' | ':' | ';' | '\n' => self.stop("."),
                '\t' | '*' => self.stop("|"),
                ',' => {
                    self.name = 0;
                    None
                }
                c if c.is_alphabetic() => Some(self.word(start)),
                _ => None,
            };
            let Some(text) = text else { continue };
            self.first = false;
            return Some(Token { text, span: start..self.at });
        }
    }

    fn stop(&mut self, mark: &'static str) -> Option<&'a str> {
        self.name = 0;
        (!self.first).then_some(mark)
    }

    fn rest(&self) -> &'a str {
        &self.folded[self.at..]
    }

    /// Takes characters as long as they please.
    fn take(&mut self, pleases: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !pleases(c)).unwrap_or(rest.len());
    }

    fn word(&mut self, start: usize) -> &'a str {
        self.take(char::is_alphabetic);
        if CURRENCIES.contains(&&self.folded[start..self.at]) && self.amount_behind_sign().is_some() {
            return "<money>";
        }
        self.take(char::is_alphanumeric);
        let rest = self.rest();
        let mut behind = rest.chars();
        match behind.next() {
            Some('\'') if behind.next().is_some_and(char::is_alphabetic) => {
                self.at += 1;
                self.take(char::is_alphanumeric);
            }
            Some('@') if behind.next().is_some_and(char::is_alphanumeric) => return self.address("<mail>"),
            _ => {}
        }
        let word = &self.folded[start..self.at];
        if matches!(word, "http" | "https") && rest.starts_with("://")
            || word == "www" && rest.starts_with('.')
        {
            return self.address("<url>");
        }
        if word.bytes().any(|b| b.is_ascii_digit()) {
            self.take(|c| c.is_alphanumeric() || matches!(c, '-' | '/'));
            return "<id>";
        }
        if self.name > 0 {
            self.name -= 1;
            return "<name>";
        }
        if self.first && GREETINGS.contains(&word) {
            self.name = LONGEST_NAME;
        }
        match word {
            _ if word.len() > 10 => word,
            _ if MONTHS.contains(&word) => "<month>",
            _ if DAYS.contains(&word) => "<day>",
            _ => word,
        }
    }

    fn address(&mut self, class: &'static str) -> &'a str {
        self.take(|c| !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '(' | ')' | ','));
        class
    }

    /// The number behind a currency sign.
    fn amount_behind_sign(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let digits = rest.trim_start_matches(['.', ' ']);
        if rest.len() - digits.len() > 2 || !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.at += rest.len() - digits.len();
        self.digits();
        self.unit(&THOUSANDS);
        Some("<money>")
    }

    /// Digits with marks between them; gives the marks found.
    fn digits(&mut self) -> (usize, usize) {
        let (mut dates, mut colons) = (0, 0);
        let bytes = self.folded.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            let digit_behind = bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
            match byte {
                b'0'..=b'9' => {}
                b'.' | b',' if digit_behind => {}
                b':' if digit_behind => colons += 1,
                b'/' | b'-' if digit_behind => dates += 1,
                _ => break,
            }
            self.at += 1;
        }
        (dates, colons)
    }

    /// Takes a unit behind a number, with or without a blank between.
    fn unit(&mut self, units: &[&str]) -> bool {
        let rest = self.rest();
        let trimmed = rest.strip_prefix(' ').unwrap_or(rest);
        let word = trimmed.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        let found = !word.is_empty() && units.contains(&word);
        if found {
            self.at += rest.len() - trimmed.len() + word.len();
        }
        found
    }

    fn number(&mut self, start: usize) -> &'a str {
        self.at = start;
        let (dates, colons) = self.digits();
        let rest = self.rest();
        let trimmed = rest.strip_prefix(' ').unwrap_or(rest);
        if trimmed.starts_with('%') {
            self.at += rest.len() - trimmed.len() + 1;
            return "<pct>";
        }
        if trimmed.starts_with(['€', '£', '$']) {
            let sign = trimmed.chars().next().map_or(0, char::len_utf8);
            self.at += rest.len() - trimmed.len() + sign;
            return "<money>";
        }
        if self.unit(&PERCENT) {
            return "<pct>";
        }
        if dates > 1 {
            return "<date>";
        }
        if colons > 0 || self.unit(&["am", "pm", "uhr", "wib"]) {
            self.unit(&["am", "pm"]);
            return "<time>";
        }
        if dates > 0 {
            return "<id>";
        }
        if self.unit(&CURRENCIES) {
            return "<money>";
        }
        if self.unit(&["rb", "ribu", "jt", "juta"]) {
            return "<money>";
        }
        if rest.starts_with(char::is_alphabetic) && !self.unit(&["st", "nd", "rd", "th"]) {
            let from = self.at;
            self.take(char::is_alphanumeric);
            let letters = &self.folded[from..self.at];
            let is_id = letters.bytes().any(|b| b.is_ascii_digit()) || letters.len() > 4;
            return if is_id { "<id>" } else { "<num>" };
        }
        "<num>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(folded: &str) -> String {
        let mut tokens = Vec::new();
        cut(folded, &mut tokens);
        for token in &tokens {
            assert!(folded.get(token.span.clone()).is_some_and(|text| !text.is_empty()));
        }
        tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_amounts_and_dates_are_classes() {
        assert_eq!(words("spend £500.00 get 20 % off!"), "spend <money> get <pct> off !");
        assert_eq!(words("rp50.000, rp 25 rb dan 99rb"), "<money> <money> dan <money>");
        assert_eq!(words("12 march at 14:30 or 9am"), "<num> <month> at <time> or <time>");
        assert_eq!(words("2025-01-03 12/03/2024 ab12-9 4gb 3rd"), "<date> <date> <id> <num> <num>");
        assert_eq!(words("30 euros, 30 €"), "<money> <money>");
    }

    #[test]
    fn addresses_and_names_are_classes() {
        assert_eq!(words("dear ms okafor, your card"), "dear <name> <name> your card");
        assert_eq!(words("see https://a.example/b?c=d (or x@y.example)"), "see <url> or <mail>");
        assert_eq!(words("it's new. really?"), "it's new . really ?");
    }
}
