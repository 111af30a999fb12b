//! Whatever the bytes are, judging ends, soon, without a panic, and quotes only what stands there.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use consentry::detect::{Class, DetectError, Detector, Judgement, MAX_QUOTE};
use proptest::prelude::*;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().expect("rule table"));

fn judge(message: &[u8]) -> Result<Judgement, DetectError> {
    DETECTOR.judge(message)
}

/// Generous for a debug build on a busy machine; what is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(60);

#[track_caller]
fn judge_soon(message: &[u8]) -> Result<Judgement, DetectError> {
    let start = Instant::now();
    let judgement = judge(message);
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    judgement
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_quotes_stand(judgement: &Judgement) {
    for evidence in &judgement.verdict.evidence {
        assert!(!evidence.quote.is_empty() && evidence.quote.chars().count() <= MAX_QUOTE, "{evidence:?}");
        let stands = judgement.segments.iter().any(|s| {
            s.segment.place == evidence.place && on_one_line(&s.segment.text).contains(&evidence.quote)
        });
        assert!(stands, "{evidence:?}");
    }
}

#[test]
fn malformed_messages_are_judged_on_what_can_be_read() {
    let offer = "Refer a friend, get £10 off your next order";
    let table: &[(&str, String)] = &[
        ("no fields", offer.to_owned()),
        ("no body", format!("Subject: {offer}")),
        ("only LF", format!("Subject: a\n\n{offer}\n")),
        ("blank first line", format!("\r\n{offer}")),
        ("multipart without boundary", format!("Content-Type: multipart/mixed\r\n\r\n{offer}")),
        ("boundary that never comes", format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n{offer}")),
        (
            "unclosed multipart",
            format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n{offer}"),
        ),
        (
            "boundary of an outer part inside",
            format!(
                "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n--y\r\n\r\nhello\r\n--x\r\n\r\n{offer}\r\n--x--"
            ),
        ),
        (
            "same boundary twice",
            format!(
                "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n{offer}\r\n--x--\r\n--x--"
            ),
        ),
        ("two content types", format!("Content-Type: text/plain\r\nContent-Type: image/png\r\n\r\n{offer}")),
        ("broken base64", format!("Content-Transfer-Encoding: base64\r\nSubject: {offer}\r\n\r\n=!=!=")),
        (
            "broken quoted-printable",
            format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n=zz= ={offer}"),
        ),
        ("unknown encoding", format!("Content-Transfer-Encoding: rot13\r\n\r\n{offer}")),
        ("body that begins in the fields", format!("Subject: x\r\n{offer}\r\nand more")),
        (
            "attached message",
            format!(
                "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n{offer}"
            ),
        ),
        ("unclosed tags", format!("Content-Type: text/html\r\n\r\n<p><b><div title='{offer}")),
        ("unclosed comment after", format!("Content-Type: text/html\r\n\r\n<p>{offer}</p><!-- <p>")),
        ("title never closed", format!("Content-Type: text/html\r\n\r\n<title>{offer}")),
        (
            "html as octets",
            format!("Content-Type: application/octet-stream; name=a.html\r\n\r\n<p>{offer}</p>"),
        ),
    ];
    for (name, message) in table {
        let judgement = judge_soon(message.as_bytes()).expect(name);
        assert_quotes_stand(&judgement);
        if !name.starts_with("unclosed tags") {
            assert!(judgement.verdict.class.is_promotional(), "{name}: {:?}", judgement.verdict);
        }
    }
}

#[test]
fn nothing_at_all_is_service() {
    for message in ["", "\r\n", "\r\n\r\n", "\0", "Subject:\r\n\r\n", "Content-Type: text/html\r\n\r\n<>"] {
        let verdict = judge_soon(message.as_bytes()).expect("verdict").verdict;
        assert_eq!((verdict.class, verdict.evidence.len()), (Class::Service, 0), "{message:?}");
    }
}

#[test]
fn ten_thousand_nested_parts() {
    for kind in ["multipart/mixed; boundary=", "multipart/alternative; boundary="] {
        let mut message = String::from("Subject: deep\r\n");
        for level in 0..10_000 {
            message.push_str(&format!("Content-Type: {kind}b{level}\r\n\r\n--b{level}\r\n"));
        }
        message.push_str("\r\nRefer a friend, get £10\r\n");
        assert!(judge_soon(message.as_bytes()).expect("verdict").verdict.class.is_promotional());
    }
    let messages =
        format!("{}\r\nRefer a friend, get £10\r\n", "Content-Type: message/rfc822\r\n\r\n".repeat(10_000));
    assert!(judge_soon(messages.as_bytes()).expect("verdict").verdict.class.is_promotional());
}

#[test]
fn ten_thousand_parts_side_by_side_whose_boundaries_never_come() {
    let mut message = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for part in 0..10_000 {
        message.push_str(&format!(
            "--b\r\nContent-Type: multipart/mixed; boundary=never{part}\r\n\r\nhello {part}\r\n"
        ));
    }
    message.push_str("--b\r\n\r\nRefer a friend, get £10\r\n--b--\r\n");
    assert!(judge_soon(message.as_bytes()).expect("verdict").verdict.class.is_promotional());
}

#[test]
fn more_parts_than_are_read_give_no_verdict() {
    let message =
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\n\r\n".repeat(30_000));
    assert!(matches!(judge_soon(message.as_bytes()), Err(DetectError::TooMuchText { .. })));
}

#[test]
fn large_inputs_are_bounded() {
    let mib = 1 << 20;
    let attached = format!(
        "Subject: Your files\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThe files.\r\n--b\r\n\
         Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{}--b--\r\n",
        format!("{}\r\n", "QUJD".repeat(19)).repeat(35 * mib / 78)
    );
    assert_eq!(judge_soon(attached.as_bytes()).expect("verdict").verdict.class, Class::Service);

    let one_line = format!("Subject: x\r\n\r\n{}", "a".repeat(8 * mib));
    assert!(judge_soon(one_line.as_bytes()).is_err());
    let promotional = format!("Subject: Refer a friend, get £10\r\n\r\n{}", "word ".repeat(2 * mib));
    assert!(judge_soon(promotional.as_bytes()).expect("verdict").verdict.class.is_promotional());

    let header = format!("Subject: {}\r\n\r\nhello", "=?utf-8?q?a".repeat(mib / 8));
    assert_eq!(judge_soon(header.as_bytes()).expect("verdict").verdict.class, Class::Service);
    let folded = format!("Subject: a\r\n{}\r\nhello", " b\r\n".repeat(mib));
    assert_eq!(judge_soon(folded.as_bytes()).expect("verdict").verdict.class, Class::Service);
    let fields = format!("{}\r\nhello", "Subject: a\r\n".repeat(mib / 8));
    assert_eq!(judge_soon(fields.as_bytes()).expect("verdict").verdict.class, Class::Service);
}

#[test]
fn hostile_html_is_bounded() {
    let start = "Subject: x\r\nContent-Type: text/html\r\n\r\n";
    for (name, html) in [
        ("deep", "<div>".repeat(300_000)),
        ("deep inline", "<b>".repeat(300_000)),
        ("deep hidden", "<div hidden>".repeat(100_000)),
        ("ends only", "</div>".repeat(200_000)),
        ("links", "<a href=x1>".repeat(100_000)),
        ("attributes", format!("<p {}>", "a=b c ".repeat(200_000))),
        ("open tags", "<".repeat(1_000_000)),
        ("entities", "&amp".repeat(300_000)),
        ("comments", "<!--[if mso]><p>".repeat(50_000)),
        ("quotes", "<blockquote>".repeat(200_000)),
    ] {
        let judged = judge_soon(format!("{start}{html}").as_bytes());
        if let Ok(judgement) = judged {
            assert_quotes_stand(&judgement);
            assert_eq!(judgement.verdict.class, Class::Service, "{name}");
        }
    }
}

#[test]
fn repeated_fragments_of_patterns_are_linear() {
    for fragment in [
        "spend £500 ",
        "get ",
        "refer a ",
        "save up to ",
        "your ",
        "20% ",
        "up to ",
        "F R E E ",
        "0ff ",
        "a.b.c.",
        "more rewards ",
        "£",
    ] {
        let message = format!("Subject: x\r\n\r\n{}", fragment.repeat((1 << 20) / fragment.len()));
        let _ = judge_soon(message.as_bytes());
    }
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    const FRAGMENTS: &[&str] = &[
        "Subject: ",
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: text/html\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: quoted-printable\r\n",
        "\r\n",
        "\r\n\r\n",
        "--b\r\n",
        "--b--\r\n",
        "charset=utf-7",
        "=?utf-8?q?",
        "?=",
        "<p>",
        "</p>",
        "<div style='display:none'>",
        "<a href='/offers'>",
        "<img alt='20% off'>",
        "&#x200b;",
        "=\r\n",
        "=E2=82=AC",
        "20% off ",
        "Refer a friend ",
        "d1scount ",
        "\u{200b}",
        "\u{ad}",
        "ƒгее ",
        "F R E E ",
        "> ",
        "Spend £5 and get ",
        "\u{1f381} ",
        "İ",
        "ﬁ",
        "\u{301}",
        "<!--[if mso]>",
        "<![endif]-->",
        "\t",
        "a\u{300}\u{301}",
        "ŉ",
        "ǰ",
        "10€",
    ];
    prop_oneof![
        4 => prop::sample::select(FRAGMENTS).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => any::<String>().prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        if let Ok(judgement) = judge(&bytes) {
            assert_quotes_stand(&judgement);
        }
    }

    #[test]
    fn random_messages_never_panic_and_quotes_stand(parts in prop::collection::vec(fragment(), 0..60)) {
        if let Ok(judgement) = judge(&parts.concat()) {
            assert_quotes_stand(&judgement);
            prop_assert_eq!(judgement.verdict.class.is_promotional(), judgement.verdict.score >= 0.5);
        }
    }
}
