//! Makes a message of labelled segments: a text and an HTML alternative, as a mailer would.

use std::fmt::Write as _;

use super::Labelled;
use crate::detect::model::{LabelledMessage, LabelledSegment, TrainingPlace};

/// The message of labelled segments, with its label.
pub(super) fn labelled(message: &LabelledMessage) -> Labelled {
    Labelled {
        id: message.id.clone(),
        label: message.label,
        language: message.language().to_owned(),
        source: message.sector.clone(),
        borderline: message.borderline,
        message: compose(message).into_bytes(),
    }
}

fn compose(message: &LabelledMessage) -> String {
    const BOUNDARY: &str = "=_alternatives";
    let subjects: Vec<&str> = message
        .segments
        .iter()
        .filter(|segment| segment.place == TrainingPlace::Subject)
        .map(|segment| segment.text.as_str())
        .collect();
    let (mut plain, mut html) = (String::new(), String::new());
    for segment in message.segments.iter().filter(|segment| segment.place != TrainingPlace::Subject) {
        add_plain(&mut plain, segment);
        add_html(&mut html, segment);
    }
    format!(
        "From: sender@example.com\r\nTo: reader@example.com\r\nSubject: {}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"{BOUNDARY}\"\r\n\r\n\
         --{BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{plain}\r\n\
         --{BOUNDARY}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         <html><body>\r\n{html}</body></html>\r\n--{BOUNDARY}--\r\n",
        subjects.join(" ")
    )
}

fn add_plain(plain: &mut String, segment: &LabelledSegment) {
    let _ = match segment.place {
        TrainingPlace::Preheader | TrainingPlace::Alt => Ok(()),
        TrainingPlace::List => write!(plain, "- {}\r\n", segment.text),
        TrainingPlace::Quote => write!(plain, "> {}\r\n\r\n", segment.text.trim_start_matches("> ")),
        TrainingPlace::Button | TrainingPlace::Link => {
            write!(plain, "{}: {}\r\n\r\n", segment.text, segment.target)
        }
        _ => write!(plain, "{}\r\n\r\n", segment.text),
    };
}

fn add_html(html: &mut String, segment: &LabelledSegment) {
    let (text, target) = (escape(&segment.text), escape(&segment.target));
    let _ = match segment.place {
        TrainingPlace::Preheader => write!(html, "<div style=\"display:none\">{text}</div>\r\n"),
        TrainingPlace::Heading => write!(html, "<h2>{text}</h2>\r\n"),
        TrainingPlace::List => write!(html, "<ul><li>{text}</li></ul>\r\n"),
        TrainingPlace::Table => {
            write!(html, "<table><tr><td>{}</td></tr></table>\r\n", text.replace(" · ", "</td><td>"))
        }
        TrainingPlace::Button => write!(html, "<p><a class=\"button\" href=\"{target}\">{text}</a></p>\r\n"),
        TrainingPlace::Link => write!(html, "<p><a href=\"{target}\">{text}</a></p>\r\n"),
        TrainingPlace::Alt => write!(html, "<img src=\"image.png\" alt=\"{text}\">\r\n"),
        TrainingPlace::Quote => {
            write!(html, "<blockquote>{}</blockquote>\r\n", text.trim_start_matches("&gt; "))
        }
        _ => write!(html, "<p>{text}</p>\r\n"),
    };
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;
    use crate::detect::model::read;

    #[test]
    fn every_segment_is_found_again() {
        let messages = read(
            "@ en-x-1 | banking | statement | terse | mixed\n- subject: Your statement\n\
             - table: Total · £5 & more\n+ button loan -> https://a.example/?a=1&b=2: See \"what\"\n",
        )
        .expect("valid");
        let judgement =
            Detector::new().expect("rules").judge(compose(&messages[0]).as_bytes()).expect("verdict");
        let texts: Vec<_> = judgement.segments.iter().map(|s| s.segment.text.as_str()).collect();
        for text in ["Your statement", "Total\t£5 & more", "https://a.example/?a=1&b=2", "See \"what\""] {
            assert!(texts.contains(&text), "{text}: {texts:?}");
        }
    }
}
