//! Which language a message is in. Function words decide where there are enough of them: short
//! service mails are full of names and numbers, which mislead statistics over letters.

use std::collections::HashMap;
use std::sync::LazyLock;

use whatlang::Lang;

/// Octets of text looked at.
const ENOUGH: usize = 8 << 10;

const FUNCTION_WORDS: [(&str, &[&str]); 5] = [
    (
        "en",
        &[
            "the", "and", "you", "your", "is", "are", "to", "of", "for", "with", "have", "this", "that",
            "our", "we", "has", "been", "will", "please", "from", "if", "was", "be", "it", "can", "or",
            "not", "by", "as", "i",
        ],
    ),
    (
        "id",
        &[
            "anda", "yang", "dan", "untuk", "dengan", "telah", "kami", "ini", "tidak", "akan", "dari",
            "pada", "di", "ke", "atau", "sudah", "silakan", "jika", "kamu", "adalah", "dapat", "bisa",
            "terima", "kasih", "pesanan", "akun", "kepada", "oleh", "kata", "sandi", "nya", "juga", "lagi",
            "yuk", "dapatkan",
        ],
    ),
    (
        "de",
        &[
            "der", "die", "das", "und", "sie", "ihre", "ihr", "ihnen", "ist", "fur", "mit", "nicht", "wir",
            "ein", "eine", "auf", "wurde", "bitte", "zu", "von", "den", "dem", "im", "haben", "werden",
            "jetzt", "oder", "es", "sich", "uns", "dich", "deine", "dein", "du",
        ],
    ),
    (
        "fr",
        &[
            "le", "la", "les", "des", "et", "vous", "votre", "vos", "est", "pour", "avec", "nous", "une",
            "un", "du", "dans", "sur", "pas", "ce", "cette", "merci", "bonjour", "au", "aux", "sont", "ete",
            "par", "veuillez",
        ],
    ),
    (
        "es",
        &[
            "el", "la", "los", "las", "y", "de", "que", "su", "para", "con", "por", "usted", "una", "un",
            "es", "ha", "del", "se", "tu", "hola", "gracias", "este", "esta", "sus", "nos", "cuenta", "si",
            "no", "al",
        ],
    ),
];

/// For each function word, which of the languages have it.
static LANGUAGES_OF: LazyLock<HashMap<&str, [bool; FUNCTION_WORDS.len()]>> = LazyLock::new(|| {
    let mut languages = HashMap::new();
    for (number, (_, words)) in FUNCTION_WORDS.iter().enumerate() {
        for word in *words {
            languages.entry(*word).or_insert([false; FUNCTION_WORDS.len()])[number] = true;
        }
    }
    languages
});

/// Whether the rules and the model know the language: what is promotional can be found in it, and what
/// was not found is most likely not there.
pub(super) fn is_supported(language: &str) -> bool {
    FUNCTION_WORDS.iter().any(|(known, _)| *known == language)
}

/// ISO 639-1 code of the language of a folded text (lower case, no accents); `und` when unknown.
pub(super) fn detect(folded: &str) -> String {
    let text = &folded[..super::decode::floor_char_boundary(folded, ENOUGH)];
    let mut counts = [0_usize; FUNCTION_WORDS.len()];
    let mut words = 0;
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        words += 1;
        for (count, &has) in counts.iter_mut().zip(LANGUAGES_OF.get(word).into_iter().flatten()) {
            *count += usize::from(has);
        }
    }
    let best = counts.iter().copied().max().unwrap_or(0);
    let second = counts.iter().copied().filter(|&count| count < best).max().unwrap_or(0);
    let ties = counts.iter().filter(|&&count| count == best).count();
    if best > 0 && ties == 1 && best * 12 >= words && best >= second + 1 + second / 4 {
        let winner = counts.iter().position(|&count| count == best).unwrap_or(0);
        return FUNCTION_WORDS[winner].0.to_owned();
    }
    let guess = whatlang::detect(text).filter(|info| info.is_reliable() && words >= 6);
    guess.and_then(|info| iso_639_1(info.lang())).unwrap_or("und").to_owned()
}

fn iso_639_1(language: Lang) -> Option<&'static str> {
    Some(match language {
        Lang::Eng => "en",
        Lang::Ind => "id",
        Lang::Deu => "de",
        Lang::Fra => "fr",
        Lang::Spa => "es",
        Lang::Ita => "it",
        Lang::Por => "pt",
        Lang::Nld => "nl",
        Lang::Pol => "pl",
        Lang::Rus => "ru",
        Lang::Ukr => "uk",
        Lang::Tur => "tr",
        Lang::Vie => "vi",
        Lang::Swe => "sv",
        Lang::Dan => "da",
        Lang::Nob => "nb",
        Lang::Fin => "fi",
        Lang::Ces => "cs",
        Lang::Slk => "sk",
        Lang::Hun => "hu",
        Lang::Ron => "ro",
        Lang::Bul => "bg",
        Lang::Ell => "el",
        Lang::Heb => "he",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Tha => "th",
        Lang::Jpn => "ja",
        Lang::Cmn => "zh",
        Lang::Kor => "ko",
        Lang::Cat => "ca",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Jav => "jv",
        Lang::Tgl => "tl",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_are_recognised_by_function_words() {
        for (text, language) in [
            ("your code is 123456", "en"),
            ("pesanan anda telah dikirim", "id"),
            ("ihre rechnung ist fallig", "de"),
            ("votre commande est en route", "fr"),
            ("su pedido ha sido enviado", "es"),
            ("123456", "und"),
            ("", "und"),
        ] {
            assert_eq!(detect(text), language, "{text}");
        }
    }

    #[test]
    fn only_the_languages_of_the_rules_are_supported() {
        for language in ["en", "id", "de", "fr", "es"] {
            assert!(is_supported(language), "{language}");
        }
        for language in ["ru", "it", "und", ""] {
            assert!(!is_supported(language), "{language}");
        }
    }

    #[test]
    fn other_languages_are_recognised_by_their_letters() {
        assert_eq!(detect("ваш заказ был отправлен сегодня утром и скоро будет у вас"), "ru");
    }
}
