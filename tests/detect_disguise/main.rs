//! Disguises as properties: whatever is done to a message that its reader does not notice or reads over,
//! it stays what it is. Promotion stays promotional, a service message stays one, and where the disguise
//! can be undone without a rest the score stays the same.

mod bases;
mod dice;
mod letters;
mod mail;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bases::{BASES, Base, Kind};
use consentry::detect::{Class, Detector, Judgement, Verdict};
use dice::Dice;
use letters::{BLANKS, HIDING, INVISIBLE, interspersed, replaced};
use mail::{Charset, ENCODINGS, Encoding, Part, encoded_words};
use proptest::prelude::*;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().expect("rule table"));

/// The undisguised messages judged, as plain text and as HTML.
static UNDISGUISED: LazyLock<Vec<[Judgement; 2]>> = LazyLock::new(|| {
    let both = |base: &Base| {
        let paragraphs = base.paragraphs();
        [
            judgement(&Part::plain(&text(&paragraphs)).message(base.subject)),
            judgement(&Part::html(&html(&paragraphs)).message(base.subject)),
        ]
    };
    BASES.iter().map(both).collect()
});

fn judgement(message: &[u8]) -> Judgement {
    DETECTOR.judge(message).expect("verdict")
}

fn judge(message: &[u8]) -> Verdict {
    judgement(message).verdict
}

fn text(paragraphs: &[String]) -> String {
    paragraphs.join("\r\n\r\n") + "\r\n"
}

fn html(paragraphs: &[String]) -> String {
    let blocks: String = paragraphs.iter().map(|text| format!("<p>{}</p>\r\n", broken(text))).collect();
    format!("<html><body>{blocks}</body></html>\r\n")
}

/// Line breaks as HTML has them.
fn broken(text: &str) -> String {
    text.replace("\r\n", "<br>")
}

fn each(paragraphs: &[String], change: impl Fn(&str) -> String) -> Vec<String> {
    paragraphs.iter().map(|text| change(text)).collect()
}

fn any_base() -> impl Strategy<Value = usize> {
    0..BASES.len()
}

fn promotional_base() -> impl Strategy<Value = usize> {
    let promotional: Vec<usize> = (0..BASES.len()).filter(|&base| BASES[base].is_promotional()).collect();
    prop::sample::select(promotional)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 256, failure_persistence: None, ..ProptestConfig::default() }
}

/// Promotion is still promotional, service still service.
fn kept(base: &Base, message: &[u8]) -> Result<(), TestCaseError> {
    let verdict = judge(message);
    prop_assert_eq!(
        verdict.class.is_promotional(),
        base.is_promotional(),
        "{}: {} {}\n{}\n{:#?}",
        base.name,
        verdict.class,
        verdict.score,
        String::from_utf8_lossy(message),
        verdict.evidence
    );
    Ok(())
}

/// The verdict is what it was, and rests on the same rules.
fn unchanged(base: &Base, before: &Judgement, message: &[u8]) -> Result<(), TestCaseError> {
    let (before, after) = (&before.verdict, judge(message));
    // Quotes that a disguise makes different are listed apart, so that only the rules compare.
    let rules = |verdict: &Verdict| -> BTreeSet<String> {
        verdict.evidence.iter().map(|evidence| evidence.rule.clone()).collect()
    };
    prop_assert!(
        after.class == before.class
            && (after.score - before.score).abs() < 0.001
            && rules(&after) == rules(before),
        "{}: {} {} became {} {}\n{}\n{:#?}",
        base.name,
        before.class,
        before.score,
        after.class,
        after.score,
        String::from_utf8_lossy(message),
        after.evidence
    );
    Ok(())
}

/// Every segment reads as it did, so that evidence quotes what a reader sees, and the verdict is what it was.
fn read_alike(base: &Base, before: &Judgement, message: &[u8]) -> Result<(), TestCaseError> {
    let texts = |judged: &Judgement| -> Vec<String> {
        judged.segments.iter().map(|judged| judged.segment.text.clone()).collect()
    };
    prop_assert_eq!(texts(&judgement(message)), texts(before), "{}", String::from_utf8_lossy(message));
    unchanged(base, before, message)
}

/// The properties below say nothing about messages on which the judge wavers.
#[test]
fn the_undisguised_messages_are_judged_clearly() {
    for (base, verdicts) in BASES.iter().zip(&*UNDISGUISED) {
        for Judgement { verdict, .. } in verdicts {
            println!("{:24} {:9} {:.3}", base.name, verdict.class, verdict.score);
            match base.kind {
                Kind::Service => assert!(verdict.score < 0.25, "{}: {verdict:#?}", base.name),
                _ => assert!(verdict.score > 0.75, "{}: {verdict:#?}", base.name),
            }
            assert_eq!(verdict.class == Class::Service, base.kind == Kind::Service);
        }
    }
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn transfer_encodings_and_charsets(
        base in any_base(),
        encoding in prop::sample::select(&ENCODINGS[..]),
        charset in prop::sample::select(&[Charset::Utf8, Charset::Latin1, Charset::Windows1252][..]),
        as_html in any::<bool>(),
        dice in Dice::any(),
    ) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][usize::from(as_html)]);
        let paragraphs = base.paragraphs();
        let (subtype, body) = if as_html { ("html", html(&paragraphs)) } else { ("plain", text(&paragraphs)) };
        let part = Part::text(subtype, &body, charset, encoding, &dice);
        read_alike(base, before, &part.message(base.subject))?;
    }

    /// RFC 2045 has no place for the octets of UTF-16 in a body, save in base64.
    #[test]
    fn utf_16_in_base64(
        base in any_base(),
        charset in prop::sample::select(&[Charset::Utf16, Charset::Utf16Be, Charset::Utf16Le][..]),
        as_html in any::<bool>(),
        dice in Dice::any(),
    ) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][usize::from(as_html)]);
        let paragraphs = base.paragraphs();
        let (subtype, body) = if as_html { ("html", html(&paragraphs)) } else { ("plain", text(&paragraphs)) };
        let part = Part::text(subtype, &body, charset, Encoding::Base64, &dice);
        read_alike(base, before, &part.message(base.subject))?;
    }

    #[test]
    fn encoded_words_in_the_subject(base in any_base(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][0]);
        let message = Part::plain(&text(&base.paragraphs())).message(&encoded_words(base.subject, &dice));
        read_alike(base, before, &message)?;
    }

    #[test]
    fn character_references(base in any_base(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][1]);
        let paragraphs = each(&base.paragraphs(), |text| {
            replaced(&text.replace("\r\n", "\n"), &dice, 3, |c| letters::entity(c, &dice)).replace('\n', "\r\n")
        });
        read_alike(base, before, &Part::html(&html(&paragraphs)).message(base.subject))?;
    }

    #[test]
    fn tags_inside_words(base in any_base(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][1]);
        let paragraphs = each(&base.paragraphs(), |text| {
            interspersed(text, &dice, 3, || letters::empty_tags(&dice))
        });
        read_alike(base, before, &Part::html(&html(&paragraphs)).message(base.subject))?;
    }

    #[test]
    fn invisible_characters(base in any_base(), as_html in any::<bool>(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][usize::from(as_html)]);
        let split = |text: &str| interspersed(text, &dice, 2, || dice.pick(INVISIBLE).to_owned());
        let paragraphs = each(&base.paragraphs(), split);
        let part = if as_html { Part::html(&html(&paragraphs)) } else { Part::plain(&text(&paragraphs)) };
        read_alike(base, before, &part.message(&split(base.subject)))?;
    }

    #[test]
    fn invisible_characters_by_reference(base in any_base(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][1]);
        let references = ["&zwnj;", "&zwj;", "&#8203;", "&#x200B;", "&ZeroWidthSpace;", "&NoBreak;", "&lrm;", "&#65279;"];
        let paragraphs = each(&base.paragraphs(), |text| {
            interspersed(text, &dice, 2, || dice.pick(&references).to_owned())
        });
        read_alike(base, before, &Part::html(&html(&paragraphs)).message(base.subject))?;
    }

    #[test]
    fn soft_hyphens(base in any_base(), as_html in any::<bool>(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][usize::from(as_html)]);
        let forms: &[&str] = if as_html { &["\u{ad}", "&shy;", "&#173;", "&#xAD;"] } else { &["\u{ad}"] };
        let paragraphs =
            each(&base.paragraphs(), |text| interspersed(text, &dice, 2, || dice.pick(forms).to_owned()));
        let part = if as_html { Part::html(&html(&paragraphs)) } else { Part::plain(&text(&paragraphs)) };
        let subject = interspersed(base.subject, &dice, 2, || "\u{ad}".to_owned());
        read_alike(base, before, &part.message(&subject))?;
    }

    #[test]
    fn other_white_space(base in any_base(), as_html in any::<bool>(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][usize::from(as_html)]);
        let spaced = |text: &str| {
            replaced(text, &dice, 2, |c| (c == ' ').then(|| dice.pick(BLANKS).to_string().repeat(1 + dice.below(3))))
        };
        let paragraphs = each(&base.paragraphs(), spaced);
        let part = if as_html { Part::html(&html(&paragraphs)) } else { Part::plain(&text(&paragraphs)) };
        read_alike(base, before, &part.message(&spaced(base.subject)))?;
    }

    #[test]
    fn cyrillic_and_greek_letters(base in any_base(), dice in Dice::any()) {
        let base = &BASES[base];
        let disguised = |text: &str| replaced(text, &dice, 3, |c| letters::look_alike(c, &dice));
        let message = Part::plain(&text(&each(&base.paragraphs(), disguised))).message(&disguised(base.subject));
        kept(base, &message)?;
    }

    #[test]
    fn mathematical_letters(base in any_base(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][0]);
        let disguised = |text: &str| replaced(text, &dice, 2, |c| letters::mathematical(c, &dice));
        let message = Part::plain(&text(&each(&base.paragraphs(), disguised))).message(&disguised(base.subject));
        unchanged(base, before, &message)?;
    }

    #[test]
    fn accents(base in any_base(), dice in Dice::any()) {
        let (base, before) = (&BASES[base], &UNDISGUISED[base][0]);
        let disguised = |text: &str| replaced(text, &dice, 3, |c| letters::accented(c, &dice));
        let message = Part::plain(&text(&each(&base.paragraphs(), disguised))).message(&disguised(base.subject));
        unchanged(base, before, &message)?;
    }

    /// Digits for letters, in sentences that hang on the words in capitals.
    #[test]
    fn look_alike_digits(
        receipt in 0..2_usize,
        sentence in prop::sample::select(&[
            "Get 20% OFF your next order.",
            "Here is a VOUCHER for your next purchase, with a DISCOUNT of £10.",
            "SAVE £20 when you book again with our SPECIAL OFFER.",
            "Claim your FREE GIFT today.",
        ][..]),
        dice in Dice::any(),
    ) {
        let disguised = |text: &str| {
            let words = text.split_inclusive(' ').map(|word| {
                let capitals = word.chars().filter(char::is_ascii_uppercase).count();
                let digit = |c| letters::look_alike_digit(c, &dice);
                if capitals > 2 { replaced(word, &dice, 2, digit) } else { word.to_owned() }
            });
            words.collect::<String>()
        };
        let base = &BASES[receipt];
        let message = |sentence: &str| {
            Part::plain(&text(&[base.paragraphs(), vec![sentence.to_owned()]].concat())).message(base.subject)
        };
        let (before, after) = (judge(&message(sentence)), judge(&message(&disguised(sentence))));
        prop_assert!(before.class.is_promotional() && before.score > 0.9, "{} {}", sentence, before.score);
        prop_assert!(after.class.is_promotional(), "{} {}", disguised(sentence), after.score);
    }

    #[test]
    fn order_of_paragraphs(base in any_base(), as_html in any::<bool>(), dice in Dice::any()) {
        let base = &BASES[base];
        let paragraphs = dice.shuffled(base.paragraphs());
        let part = if as_html { Part::html(&html(&paragraphs)) } else { Part::plain(&text(&paragraphs)) };
        kept(base, &part.message(base.subject))?;
    }

    /// Each paragraph in a part of its own, text or HTML, in any order.
    #[test]
    fn order_of_parts(
        base in any_base(),
        subtype in prop::sample::select(&["mixed", "alternative", "related", "digest-like"][..]),
        dice in Dice::any(),
    ) {
        let base = &BASES[base];
        let part = |paragraph: &String| {
            let one = std::slice::from_ref(paragraph);
            if dice.one_in(2) { Part::html(&html(one)) } else { Part::plain(&text(one)) }
        };
        let parts = dice.shuffled(base.paragraphs().iter().map(part).collect());
        kept(base, &Part::multipart(subtype, "m", &parts).message(base.subject))?;
    }

    /// A neutral text/plain part beside the HTML that says it all, or the other way round.
    #[test]
    fn a_neutral_alternative(base in promotional_base(), neutral in 0..6_usize, dice in Dice::any()) {
        let (base, neutral) = (&BASES[base], &BASES[neutral]);
        let promotion = base.paragraphs();
        let parts = if dice.one_in(2) {
            vec![Part::plain(&text(&promotion)), Part::html(&html(&neutral.paragraphs()))]
        } else {
            vec![Part::plain(&text(&neutral.paragraphs())), Part::html(&html(&promotion))]
        };
        let parts = dice.shuffled(parts);
        kept(base, &Part::multipart("alternative", "a", &parts).message(neutral.subject))?;
    }

    #[test]
    fn nesting(base in any_base(), depth in 1..12_usize, dice in Dice::any()) {
        let base = &BASES[base];
        let mut part = Part::plain(&text(&base.paragraphs()));
        for level in 0..depth {
            part = match dice.below(3) {
                0 => Part::multipart("mixed", &format!("{level}"), &[part]),
                1 => Part::multipart("mixed", &format!("{level}"), &[Part::plain("Hello,\r\n"), part]),
                _ => part.attached_message("Message"),
            };
        }
        kept(base, &part.message(base.subject))?;
    }

    /// Promotion that the reader does not see at once, or not at all, is in the message all the same; and
    /// hiding makes no promotion of neutral text.
    #[test]
    fn hidden_text(base in any_base(), hiding in prop::sample::select(HIDING), dice in Dice::any()) {
        let base = &BASES[base];
        let element = dice.pick(&["div", "span", "p", "td"]);
        let hide = |paragraph: &String| format!("<{element} {hiding}>{}</{element}>", broken(paragraph));
        let paragraphs: Vec<String> = base
            .service
            .iter()
            .map(|paragraph| format!("<p>{}</p>", broken(paragraph)))
            .chain(base.promotion.iter().map(|paragraph| hide(&(*paragraph).to_owned())))
            .collect();
        let blocks = dice.shuffled(paragraphs).concat();
        kept(base, &Part::html(&format!("<html><body>{blocks}</body></html>")).message(base.subject))?;
    }

    #[test]
    fn texts_of_images(base in any_base(), dice in Dice::any()) {
        let base = &BASES[base];
        let image = |paragraph: &String| {
            let (key, text) = (dice.pick(&["alt", "title", "ALT", "aria-label"]), paragraph.replace("\r\n", " "));
            format!("<img src=\"cid:{}\" {key}=\"{text}\" width=600>", dice.below(100))
        };
        let blocks: String = base.paragraphs().iter().map(image).collect();
        kept(base, &Part::html(&format!("<html><body>{blocks}</body></html>")).message(base.subject))?;
    }

    /// Words in the subject that service mail begins with, and fields that say what the message is.
    #[test]
    fn claims_of_the_sender(
        base in any_base(),
        claim in prop::sample::select(&[
            "", "Action required: ", "Important: ", "Your account: ", "Service message: ", "Re: ", "Ref 48213: ",
        ][..]),
        dice in Dice::any(),
    ) {
        const FIELDS: [&str; 8] = [
            "X-Message-Class: transactional\r\n",
            "X-Stream: service\r\n",
            "Precedence: first-class\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-Priority: 1\r\n",
            "Importance: high\r\n",
            "X-Marketing: no\r\n",
            "Feedback-ID: receipts:service:example\r\n",
        ];
        let (base, before) = (&BASES[base], &UNDISGUISED[base][0]);
        let fields: String = (0..dice.below(4)).map(|_| dice.pick(&FIELDS)).collect();
        let part = Part::plain(&text(&base.paragraphs()));
        kept(base, &part.message_with(&fields, &format!("{claim}{}", base.subject)))?;
        unchanged(base, before, &part.message_with(&fields, base.subject))?;
    }

    /// Several disguises at once.
    #[test]
    fn disguises_together(base in any_base(), encoding in prop::sample::select(&ENCODINGS[..]), dice in Dice::any()) {
        let base = &BASES[base];
        let disguised = |text: &str| {
            let text = replaced(text, &dice, 6, |c| letters::mathematical(c, &dice));
            let text = replaced(&text, &dice, 6, |c| letters::look_alike(c, &dice));
            let text = replaced(&text, &dice, 8, |c| letters::accented(c, &dice));
            interspersed(&text, &dice, 4, || dice.pick(INVISIBLE).to_owned())
        };
        let tagged = |text: &str| interspersed(&disguised(text), &dice, 6, || letters::empty_tags(&dice));
        let body = html(&each(&base.paragraphs(), tagged));
        let part = Part::text("html", &body, Charset::Utf8, encoding, &dice);
        let part = Part::multipart("mixed", "outer", &[Part::multipart("related", "inner", &[part])]);
        kept(base, &part.message(&disguised(base.subject)))?;
    }
}

proptest! {
    #![proptest_config(config(6))]

    /// 200 KB of neutral text before or after, of which no mail program would show much.
    #[test]
    fn padding(base in any_base(), before in any::<bool>(), as_html in any::<bool>(), dice in Dice::any()) {
        let base = &BASES[base];
        let neutral: Vec<&str> = BASES.iter().flat_map(|base| base.service.iter().copied()).collect();
        let mut padding = Vec::new();
        let mut length = 0;
        while length < 200_000 {
            let paragraph = format!("{} ({})", dice.pick(&neutral), dice.below(100_000));
            length += paragraph.len();
            padding.push(paragraph);
        }
        let own = base.paragraphs();
        let paragraphs = if before { [padding, own].concat() } else { [own, padding].concat() };
        let part = if as_html { Part::html(&html(&paragraphs)) } else { Part::plain(&text(&paragraphs)) };
        kept(base, &part.message(base.subject))?;
    }
}
