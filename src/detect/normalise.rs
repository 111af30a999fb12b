//! Two normal forms of text. *Readable*: what a reader sees, in one spelling of white space; quotes
//! are cut from it. *Folded*: what rules are matched against, with disguises undone; a map leads from
//! it back to the readable text.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The readable form: invisible characters gone, runs of white space folded to one; `\n` and `\t`
/// stay where a line or a table cell ends.
pub(super) fn readable(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut gap = None;
    let mut rest = raw;
    loop {
        let drawn = rest.bytes().position(|b| !b.is_ascii_graphic()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(drawn);
        if !word.is_empty() {
            end_gap(&mut text, gap.take());
            text.push_str(word);
        }
        let Some(character) = behind.chars().next() else { return text };
        rest = &behind[character.len_utf8()..];
        if is_invisible(character) {
            continue;
        }
        if character.is_whitespace() || character.is_control() || character == '\u{2800}' {
            gap = Some(stronger_gap(gap, character));
            continue;
        }
        end_gap(&mut text, gap.take());
        text.push(character);
    }
}

fn end_gap(text: &mut String, gap: Option<char>) {
    if let Some(space) = gap
        && !text.is_empty()
    {
        text.push(space);
    }
}

/// White space as one blank: how quotes are written.
pub(super) fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

fn stronger_gap(gap: Option<char>, character: char) -> char {
    match (gap, character) {
        (_, '\n') | (Some('\n'), _) => '\n',
        (_, '\t') | (Some('\t'), _) => '\t',
        _ => ' ',
    }
}

/// Characters that draw nothing and only serve to split words from a filter's sight.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The folded form: lower case, without accents, homoglyphs and look-alike digits undone.
#[derive(Debug)]
pub(super) struct Folded {
    /// The text that rules are matched against.
    pub text: String,
    /// For every byte of `text`, where the character it came from begins in the readable text;
    /// one more entry for the end.
    origin: Vec<u32>,
}

impl Folded {
    pub(super) fn new(readable: &str) -> Self {
        let mut folded = Self {
            text: String::with_capacity(readable.len()),
            origin: Vec::with_capacity(readable.len() + 1),
        };
        let mut rest = 0;
        while rest < readable.len() {
            rest = folded.take_word(readable, rest);
        }
        folded.origin.push(offset(readable.len()));
        folded
    }

    /// The readable bytes that a span of the folded text came from. `readable` must be the text
    /// that this was folded from.
    pub(super) fn readable_span(&self, readable: &str, span: Range<usize>) -> Range<usize> {
        let at = |index: usize| self.origin.get(index).map_or(readable.len(), |&o| o as usize);
        let start = at(span.start);
        let last = if span.end > span.start { at(span.end - 1) } else { start };
        let end =
            readable.get(last..).and_then(|rest| rest.chars().next()).map_or(last, |c| last + c.len_utf8());
        start..end.max(start)
    }

    /// Folds one word or one character between words; gives the offset behind it.
    fn take_word(&mut self, readable: &str, start: usize) -> usize {
        let rest = &readable[start..];
        let ascii = rest.bytes().position(|b| !is_ascii_word_character(b)).unwrap_or(rest.len());
        if rest.as_bytes().get(ascii).is_none_or(u8::is_ascii) && ascii != 1 {
            return self.take_ascii(rest, start, ascii);
        }
        let length = rest.find(|c: char| !is_word_character(c)).unwrap_or(rest.len());
        if length == 0 {
            return self.take_separator(readable, start);
        }
        if let Some(end) = self.take_spaced_word(readable, start, length) {
            return end;
        }
        let word = &rest[..length];
        let from = self.text.len();
        let origins = self.origin.len();
        let latin = reads_as_latin(word);
        for (index, character) in word.char_indices() {
            self.push(if latin { homoglyph(character) } else { character }, start + index);
        }
        if let Some(plain) = undisguised(&self.text[from..]) {
            let spelt: Vec<u32> = self.text[from..]
                .char_indices()
                .filter_map(|(i, _)| self.origin.get(origins + i).copied())
                .collect();
            self.text.truncate(from);
            self.origin.truncate(origins);
            self.text.push_str(&plain);
            self.origin.extend(spelt);
        }
        start + length
    }

    /// Folds a word of more than one character, all of them ASCII, or the ASCII characters up to the next word.
    fn take_ascii(&mut self, rest: &str, start: usize, length: usize) -> usize {
        let between = |b: u8| b.is_ascii() && !is_ascii_word_character(b);
        let end = match length {
            0 => rest.bytes().position(|b| !between(b)).unwrap_or(rest.len()),
            _ => length,
        };
        let word = &rest[..end];
        let from = self.text.len();
        self.text.push_str(word);
        self.origin.extend(offset(start)..offset(start + end));
        if let Some(folded) = self.text.get_mut(from..) {
            folded.make_ascii_lowercase();
        }
        let is_mixed = || {
            let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
            (1..word.len()).contains(&letters)
        };
        if length > 0
            && is_mixed()
            && let Some(plain) = undisguised(&self.text[from..])
        {
            self.text.truncate(from);
            self.text.push_str(&plain);
        }
        start + end
    }

    fn take_separator(&mut self, readable: &str, start: usize) -> usize {
        let Some(character) = readable[start..].chars().next() else { return readable.len() };
        self.push(character, start);
        start + character.len_utf8()
    }

    /// `F R E E`, `S.A.L.E`: single letters that spell a sales word are one word.
    fn take_spaced_word(&mut self, readable: &str, start: usize, first: usize) -> Option<usize> {
        let rest = &readable[start..];
        let mut characters = rest.char_indices();
        let (_, letter) = characters.next()?;
        if letter.len_utf8() != first || !(3..=LONGEST_SALES_WORD).contains(&single_letters(rest)) {
            return None;
        }
        let mut word = String::from(homoglyph(letter));
        let mut offsets = vec![start];
        let mut end = first;
        while let Some((_, separator)) = characters.next() {
            if !is_letter_separator(separator) {
                break;
            }
            let Some((index, next)) = characters.next() else { break };
            let single = rest[index + next.len_utf8()..].chars().next().is_none_or(|c| !is_word_character(c));
            if !is_word_character(next) || !single || word.len() > 16 {
                break;
            }
            word.push(homoglyph(next));
            offsets.push(start + index);
            end = index + next.len_utf8();
        }
        let word = word.to_lowercase();
        let plain = if is_sales_word(&word) { Some(word) } else { undisguised(&word) }?;
        if plain.len() != offsets.len() || plain.len() < 3 {
            return None;
        }
        for (letter, origin) in plain.chars().zip(offsets) {
            self.push(letter, origin);
        }
        Some(start + end)
    }

    fn push(&mut self, character: char, origin: usize) {
        let before = self.text.len();
        if character.is_ascii() {
            self.text.push(character.to_ascii_lowercase());
        } else if let Some(plain) = punctuation(character) {
            self.text.push_str(plain);
        } else {
            for decomposed in character.nfkd().filter(|c| !is_combining_mark(*c)) {
                for lower in decomposed.to_lowercase() {
                    match plain_letter(lower) {
                        Some(plain) => self.text.push_str(plain),
                        None => self.text.push(lower),
                    }
                }
            }
        }
        self.origin.resize(self.origin.len() + self.text.len() - before, offset(origin));
    }
}

/// Single characters that stand in a row with one separator each between them, as far as these can
/// spell a word.
fn single_letters(text: &str) -> usize {
    let mut characters = text.chars();
    let mut letters = 0;
    while letters <= LONGEST_SALES_WORD && characters.next().is_some_and(is_word_character) {
        let separator = characters.next();
        if separator.is_some_and(is_word_character) {
            break;
        }
        letters += 1;
        if !separator.is_some_and(is_letter_separator) {
            break;
        }
    }
    letters
}

fn is_letter_separator(character: char) -> bool {
    matches!(character, ' ' | '.' | '-' | '_' | '*')
}

/// Segments are far shorter than 4 GiB.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric()
        || matches!(character, '€' | '$' | '@' | '!' | '|')
        || is_combining_mark(character)
}

/// The same of an octet of ASCII.
fn is_ascii_word_character(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'$' | b'@' | b'!' | b'|')
}

fn punctuation(character: char) -> Option<&'static str> {
    Some(match character {
        '‘' | '’' | '‚' | '′' | 'ʼ' | '`' | '´' => "'",
        '“' | '”' | '„' | '«' | '»' | '″' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '−' => "-",
        '…' => "...",
        '•' | '·' | '▪' | '●' => "*",
        '⁄' | '∕' => "/",
        _ => return None,
    })
}

fn plain_letter(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'ı' | 'ɪ' => "i",
        'ᴀ' => "a",
        'ʙ' => "b",
        'ᴄ' => "c",
        'ᴅ' => "d",
        'ᴇ' => "e",
        'ꜰ' => "f",
        'ɢ' => "g",
        'ʜ' => "h",
        'ᴋ' => "k",
        'ʟ' => "l",
        'ᴍ' => "m",
        'ɴ' => "n",
        'ᴏ' => "o",
        'ᴘ' => "p",
        'ʀ' => "r",
        'ꜱ' => "s",
        'ᴛ' => "t",
        'ᴜ' => "u",
        'ᴠ' => "v",
        'ᴡ' => "w",
        'ʏ' => "y",
        'ᴢ' => "z",
        'ɑ' => "a",
        'ɡ' => "g",
        'ⅼ' => "l",
        _ => return None,
    })
}

/// A word is read as Latin when it has Latin letters, or when every letter of it looks like one:
/// then the Cyrillic and Greek letters in it are there to be mistaken.
fn reads_as_latin(word: &str) -> bool {
    if word.is_ascii() {
        return false;
    }
    let mut has_latin = false;
    let mut all_alike = true;
    for character in word.chars().filter(|c| c.is_alphabetic()) {
        let latin = character.is_ascii_alphabetic();
        has_latin |= latin;
        all_alike &= latin || homoglyph(character) != character;
    }
    has_latin || all_alike
}

/// The Latin letter that a Cyrillic, Greek or Armenian one looks like.
fn homoglyph(character: char) -> char {
    match character {
        'а' | 'α' => 'a',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'ь' => 'b',
        'с' | 'ϲ' => 'c',
        'С' => 'C',
        'ԁ' => 'd',
        'е' | 'є' | 'ε' => 'e',
        'Е' | 'Ε' => 'E',
        'ғ' => 'f',
        'Ϝ' => 'F',
        'ԍ' => 'g',
        'һ' | 'հ' => 'h',
        'Н' | 'Η' => 'H',
        'і' | 'ι' => 'i',
        'І' | 'Ι' => 'I',
        'ј' => 'j',
        'Ј' => 'J',
        'к' | 'κ' => 'k',
        'К' | 'Κ' => 'K',
        'ӏ' => 'l',
        'М' | 'Μ' => 'M',
        'м' => 'm',
        'п' | 'ո' | 'η' => 'n',
        'Ν' => 'N',
        'о' | 'ο' | 'օ' => 'o',
        'О' | 'Ο' => 'O',
        'р' | 'ρ' => 'p',
        'Р' | 'Ρ' => 'P',
        'ԛ' => 'q',
        'г' => 'r',
        'ѕ' => 's',
        'Ѕ' => 'S',
        'т' | 'τ' => 't',
        'Т' | 'Τ' => 'T',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ѡ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'Х' | 'Χ' => 'X',
        'у' | 'γ' => 'y',
        'У' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        other => other,
    }
}

/// Words that are worth disguising. Only a look-alike of one of these is undone, so that amounts,
/// order numbers and codes stay as they are.
const SALES_WORDS: &[&str] = &[
    "angebot",
    "bonus",
    "bonuses",
    "buy",
    "cashback",
    "cheap",
    "clearance",
    "click",
    "coupon",
    "coupons",
    "deal",
    "deals",
    "descuento",
    "diskon",
    "discount",
    "discounts",
    "exclusive",
    "free",
    "gift",
    "gratis",
    "gratuit",
    "hemat",
    "join",
    "kupon",
    "limited",
    "now",
    "off",
    "offer",
    "offers",
    "oferta",
    "ofertas",
    "only",
    "percent",
    "points",
    "price",
    "prices",
    "prize",
    "promo",
    "promotion",
    "rabatt",
    "redeem",
    "refer",
    "reward",
    "rewards",
    "sale",
    "sales",
    "save",
    "saving",
    "savings",
    "shop",
    "soldes",
    "spend",
    "special",
    "subscribe",
    "trial",
    "unlock",
    "upgrade",
    "voucher",
    "vouchers",
    "win",
    "winner",
    "member",
    "members",
];

/// The letters of the longest of these.
const LONGEST_SALES_WORD: usize = 9;

fn is_sales_word(word: &str) -> bool {
    word.len() <= LONGEST_SALES_WORD && SALES_WORDS.contains(&word)
}

/// `0ff` is off, `d1scount` is discount, `fr€€` is free; `None` for a word that is what it seems.
/// The answer is ASCII and has one letter for each character of `word`.
fn undisguised(word: &str) -> Option<String> {
    if word.chars().nth(LONGEST_SALES_WORD).is_some()
        || word.chars().all(|c| c.is_alphabetic())
        || !word.chars().any(|c| c.is_alphabetic())
    {
        return None;
    }
    ['i', 'l'].into_iter().find_map(|one| {
        let plain: String = word.chars().map(|c| look_alike(c, one)).collect();
        is_sales_word(&plain).then_some(plain)
    })
}

fn look_alike(character: char, one: char) -> char {
    match character {
        '0' => 'o',
        '1' | '|' | '!' => one,
        '3' | '€' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        '8' => 'b',
        '9' => 'g',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(raw: &str) -> String {
        Folded::new(&readable(raw)).text
    }

    #[test]
    fn invisible_characters_and_white_space_are_folded() {
        assert_eq!(readable(" dis\u{200b}co\u{ad}unt \u{a0}\r\n 20\u{feff}% "), "discount\n20%");
        assert_eq!(on_one_line("a\n b\tc"), "a b c");
    }

    #[test]
    fn disguised_words_are_undone() {
        assert_eq!(folded("20% 0FF d1scount fr€€ $ave"), "20% off discount free save");
        assert_eq!(folded("dіѕсоunt"), "discount");
        assert_eq!(folded("ＳＡＬＥ 𝐟𝐫𝐞𝐞 dïscöunt"), "sale free discount");
        assert_eq!(folded("F R E E gift, S.A.L.E today"), "free gift, sale today");
        assert_eq!(folded("5ALE"), "sale");
    }

    #[test]
    fn no_sales_word_is_longer_than_the_longest() {
        assert_eq!(SALES_WORDS.iter().map(|word| word.len()).max(), Some(LONGEST_SALES_WORD));
    }

    #[test]
    fn a_long_row_of_single_letters_is_not_read_to_its_end() {
        let row = "F R E E ".repeat(1 << 10);
        assert_eq!(single_letters(&row), LONGEST_SALES_WORD + 1);
        assert!(folded(&row).ends_with("f r e e free"));
        assert_eq!(single_letters("F R E E gift"), 4);
        assert_eq!(single_letters("S.A.L.E"), 4);
    }

    #[test]
    fn amounts_and_codes_are_untouched() {
        for text in
            ["€50", "$5.00 off", "order 0ff1ce", "a 4 u", "1 250 points", "pay 10€ now", "$5", "a b c d"]
        {
            assert_eq!(folded(text), text);
        }
        assert_eq!(folded("Привет"), "привет");
    }

    #[test]
    fn a_span_of_the_folded_text_leads_back_to_the_readable_words() {
        let text = readable("Größe: 20% d1sc\u{200b}ount – für Sie fr€€");
        let folded = Folded::new(&text);
        for (needle, quote) in
            [("discount", "d1scount"), ("grosse", "Größe"), ("fur sie free", "für Sie fr€€")]
        {
            let start = folded.text.find(needle).expect(needle);
            let span = folded.readable_span(&text, start..start + needle.len());
            assert_eq!(&text[span], quote);
        }
    }
}
