//! Disguises of letters and words that a reader does not notice, or reads over.

use super::dice::Dice;

/// Changes some letters, each with what `other` gives for it.
pub fn replaced(text: &str, dice: &Dice, one_in: usize, other: impl Fn(char) -> Option<String>) -> String {
    let change = |c: char| if dice.one_in(one_in) { other(c) } else { None };
    text.chars().map(|c| change(c).unwrap_or_else(|| c.to_string())).collect()
}

/// Puts something into words, between two letters.
pub fn interspersed(text: &str, dice: &Dice, one_in: usize, what: impl Fn() -> String) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if before.is_alphanumeric() && c.is_alphanumeric() && dice.one_in(one_in) {
            out.push_str(&what());
        }
        out.push(c);
        before = c;
    }
    out
}

/// Characters that draw nothing. The judge does not undo the rarer ones yet, which are not here: U+1D173 to
/// U+1D17A, U+1BCA0 to U+1BCA3, U+FFF0 to U+FFF8, U+FFFC and U+FFFD.
pub const INVISIBLE: &[&str] = &[
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{2060}",
    "\u{feff}",
    "\u{200e}",
    "\u{200f}",
    "\u{34f}",
    "\u{2061}",
    "\u{2062}",
    "\u{2063}",
    "\u{2064}",
    "\u{61c}",
    "\u{180e}",
    "\u{fe0f}",
    "\u{fe00}",
    "\u{e0100}",
    "\u{e0041}",
    "\u{202a}\u{202c}",
    "\u{2066}\u{2069}",
    "\u{200b}\u{200b}\u{200b}",
];

/// White space of another width. The Hangul fillers (U+3164, U+FFA0) are not undone yet.
pub const BLANKS: &[char] = &[
    '\u{a0}', '\u{2000}', '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}', '\u{2008}',
    '\u{2009}', '\u{200a}', '\u{202f}', '\u{205f}', '\u{3000}', '\u{2800}',
];

/// Cyrillic and Greek letters by the Latin ones that they are mistaken for. Coptic, Cherokee and Lisu
/// letters and the Cyrillic U+04BD are not undone yet.
const LOOK_ALIKES: &[(char, &str)] = &[
    ('a', "аα"),
    ('c', "сϲ"),
    ('d', "ԁ"),
    ('e', "е"),
    ('h', "һ"),
    ('i', "іι"),
    ('j', "ј"),
    ('k', "кκ"),
    ('l', "ӏ"),
    ('o', "оο"),
    ('p', "рρ"),
    ('q', "ԛ"),
    ('s', "ѕ"),
    ('u', "υ"),
    ('v', "ѵν"),
    ('w', "ԝѡω"),
    ('x', "хχ"),
    ('y', "уγ"),
    ('A', "АΑ"),
    ('B', "ВΒ"),
    ('C', "СϹ"),
    ('E', "ЕΕ"),
    ('H', "НΗ"),
    ('I', "ІΙӀ"),
    ('J', "ЈͿ"),
    ('K', "КΚ"),
    ('M', "МΜ"),
    ('N', "Ν"),
    ('O', "ОΟ"),
    ('P', "РΡ"),
    ('S', "Ѕ"),
    ('T', "ТΤ"),
    ('W', "Ԝ"),
    ('X', "ХΧ"),
    ('Y', "ҮΥ"),
    ('Z', "Ζ"),
];

pub fn look_alike(letter: char, dice: &Dice) -> Option<String> {
    let (_, others) = LOOK_ALIKES.iter().find(|(latin, _)| *latin == letter)?;
    let others: Vec<char> = others.chars().collect();
    Some(dice.pick(&others).to_string())
}

/// Digits and signs for letters.
pub fn look_alike_digit(letter: char, dice: &Dice) -> Option<String> {
    let others: &[char] = match letter.to_ascii_lowercase() {
        'o' => &['0'],
        'i' | 'l' => &['1', '|'],
        'e' => &['3', '€'],
        'a' => &['4', '@'],
        's' => &['5', '$'],
        't' => &['7'],
        'b' => &['8'],
        'g' => &['9'],
        _ => return None,
    };
    Some(dice.pick(others).to_string())
}

/// The same letter from another block: mathematical or full width. White on black (U+1F150, U+1F170),
/// regional indicators (U+1F1E6) and letters in parentheses (U+249C) are not undone yet.
pub fn mathematical(letter: char, dice: &Dice) -> Option<String> {
    // Where the capitals and the small letters of an alphabet begin; blocks with gaps are left out.
    const ALPHABETS: [(u32, u32); 10] = [
        (0x1d400, 0x1d41a),
        (0x1d468, 0x1d482),
        (0x1d4d0, 0x1d4ea),
        (0x1d56c, 0x1d586),
        (0x1d5a0, 0x1d5ba),
        (0x1d5d4, 0x1d5ee),
        (0x1d608, 0x1d622),
        (0x1d63c, 0x1d656),
        (0x1d670, 0x1d68a),
        (0xff21, 0xff41),
    ];
    let (capital, small) = dice.pick(&ALPHABETS);
    let code = match letter {
        'A'..='Z' => capital + u32::from(letter) - u32::from('A'),
        'a'..='z' => small + u32::from(letter) - u32::from('a'),
        _ => return None,
    };
    char::from_u32(code).map(String::from)
}

/// Marks above and below a letter.
pub fn accented(letter: char, dice: &Dice) -> Option<String> {
    let marks = ["\u{301}", "\u{308}", "\u{323}", "\u{332}", "\u{336}", "\u{302}\u{323}"];
    letter.is_ascii_alphabetic().then(|| format!("{letter}{}", dice.pick(&marks)))
}

/// A character reference.
pub fn entity(letter: char, dice: &Dice) -> Option<String> {
    let code = u32::from(letter);
    if matches!(letter, '\r' | '\n') {
        return None;
    }
    let named = match letter {
        '%' => "&percnt;",
        '!' => "&excl;",
        '£' => "&pound;",
        'é' => "&eacute;",
        'ä' => "&auml;",
        'ñ' => "&ntilde;",
        ' ' => "&nbsp;",
        _ => "",
    };
    let forms = [
        format!("&#{code};"),
        format!("&#x{code:x};"),
        format!("&#X{code:X};"),
        format!("&#{code:07};"),
        format!("&#x{code:06x};"),
        named.to_owned(),
    ];
    let form = &forms[dice.below(forms.len())];
    Some(if form.is_empty() { forms[0].clone() } else { form.clone() })
}

/// Tags and comments that draw nothing of their own.
pub fn empty_tags(dice: &Dice) -> String {
    dice.pick(&[
        "<b></b>",
        "<span></span>",
        "<span style=\"color:#333\"></span>",
        "<i class=x></i>",
        "<!-- x -->",
        "<!---->",
        "<font size=3></font>",
        "<wbr>",
        "</span>",
        "<a name=x></a>",
        "<u\t></u>",
        "<x-y></x-y>",
    ])
    .to_owned()
}

/// Styles that hide an element.
pub const HIDING: &[&str] = &[
    "style=\"display:none\"",
    "style='DISPLAY : none !important'",
    "style=\"visibility:hidden\"",
    "style=\"mso-hide:all;font-size:1px\"",
    "style=\"opacity:0\"",
    "style=\"max-height:0;overflow:hidden\"",
    "style=\"font-size:0\"",
    "style=\"position:absolute;left:-9999px\"",
    "style=\"color:#fff;background:#fff\"",
    "hidden",
];
