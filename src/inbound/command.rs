//! One command line to one command (RFC 5321, section 4.1). No I/O, no state.

use std::borrow::Cow;

use smtp_proto::{
    AUTH_LOGIN, AUTH_PLAIN, Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_BODY_BINARYMIME, MAIL_SMTPUTF8,
    MailFrom, RcptTo, Request,
};

use super::auth::Mechanism;
use super::replies;
use crate::smtp::{Address, Body, Reply, ReversePath};

/// What a client may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// EHLO with the client's name.
    Ehlo(String),
    /// HELO with the client's name.
    Helo(String),
    /// MAIL.
    Mail { reverse_path: ReversePath, size: usize, body: Body, smtputf8: bool, auth: bool },
    /// RCPT.
    Rcpt(Address),
    /// DATA.
    Data,
    /// AUTH (RFC 4954), perhaps with the first response.
    Auth { mechanism: Mechanism, initial: Option<String> },
    /// STARTTLS (RFC 3207).
    StartTls,
    /// BDAT (RFC 3030): so many octets follow.
    Bdat { size: usize, last: bool },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY.
    Vrfy,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// A method of HTTP: the peer is no mailer (cross-protocol requests by browsers).
    Http,
}

const HTTP_METHODS: [&[u8]; 7] = [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"CONNECT ", b"DELETE "];

/// Reads a command from a line with its CRLF; a line that is no command we take gives the reply to it.
pub(super) fn parse(line: &[u8], hostname: &str) -> Result<Command, Reply> {
    let text = line.strip_suffix(b"\r\n").unwrap_or(line);
    if HTTP_METHODS.iter().any(|method| text.starts_with(method)) {
        return Ok(Command::Http);
    }
    if text.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t') {
        return Err(replies::control_character());
    }
    if std::str::from_utf8(text).is_err() {
        return Err(replies::not_utf8());
    }
    let request = Request::parse(&mut line.iter()).map_err(|error| refusal(&error, text))?;
    match request {
        Request::Ehlo { host } => Ok(Command::Ehlo(host.into_owned())),
        Request::Helo { host } => Ok(Command::Helo(host.into_owned())),
        Request::Mail { from } => mail(&from, text),
        Request::Rcpt { to } => rcpt(&to, text, hostname),
        Request::Data => Ok(Command::Data),
        Request::Auth { mechanism, initial_response } => {
            let mechanism = match mechanism {
                AUTH_PLAIN => Mechanism::Plain,
                AUTH_LOGIN => Mechanism::Login,
                _ => return Err(replies::mechanism_not_offered()),
            };
            let initial = (!initial_response.is_empty()).then(|| initial_response.into_owned());
            Ok(Command::Auth { mechanism, initial })
        }
        Request::StartTls => Ok(Command::StartTls),
        Request::Bdat { chunk_size, is_last } => Ok(Command::Bdat { size: chunk_size, last: is_last }),
        Request::Rset => Ok(Command::Rset),
        Request::Noop { .. } => Ok(Command::Noop),
        Request::Vrfy { .. } => Ok(Command::Vrfy),
        Request::Help { .. } => Ok(Command::Help),
        Request::Quit => Ok(Command::Quit),
        Request::Lhlo { .. }
        | Request::Expn { .. }
        | Request::Etrn { .. }
        | Request::Atrn { .. }
        | Request::Burl { .. } => Err(replies::not_implemented()),
    }
}

fn mail(from: &MailFrom<Cow<'_, str>>, text: &[u8]) -> Result<Command, Reply> {
    let offered = MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8;
    if from.flags & MAIL_BODY_BINARYMIME != 0 {
        return Err(replies::parameter_not_offered("BODY=BINARYMIME"));
    }
    let extended = from.trans_id.is_some()
        || from.by != 0
        || from.env_id.is_some()
        || from.solicit.is_some()
        || from.mtrk.is_some()
        || from.hold_for != 0
        || from.hold_until != 0
        || from.mt_priority != 0;
    if extended || from.flags & !offered != 0 {
        return Err(replies::parameter_not_offered("that parameter of MAIL"));
    }
    let smtputf8 = from.flags & MAIL_SMTPUTF8 != 0;
    let reverse_path = match path(text) {
        Some("") => ReversePath::Null,
        Some(mailbox) => {
            let address = Address::parse(mailbox).map_err(|error| replies::bad_sender(&error))?;
            if address.needs_smtputf8() && !smtputf8 {
                return Err(replies::needs_smtputf8());
            }
            ReversePath::Mailbox(address)
        }
        None => return Err(replies::syntax("MAIL FROM:<reverse-path> [parameters]")),
    };
    let body = if from.flags & MAIL_BODY_8BITMIME != 0 { Body::EightBitMime } else { Body::SevenBit };
    Ok(Command::Mail { reverse_path, size: from.size, body, smtputf8, auth: from.auth.is_some() })
}

fn rcpt(to: &RcptTo<Cow<'_, str>>, text: &[u8], hostname: &str) -> Result<Command, Reply> {
    if to.flags != 0 || to.orcpt.is_some() || to.rrvs != 0 {
        return Err(replies::parameter_not_offered("that parameter of RCPT"));
    }
    let Some(mailbox) = path(text) else {
        return Err(replies::syntax("RCPT TO:<forward-path>"));
    };
    // RFC 5321, section 4.5.1: <Postmaster> without a domain is this host's.
    let qualified = mailbox.eq_ignore_ascii_case("postmaster").then(|| format!("{mailbox}@{hostname}"));
    let address = Address::parse(qualified.as_deref().unwrap_or(mailbox))
        .map_err(|error| replies::bad_recipient(&error))?;
    Ok(Command::Rcpt(address))
}

/// The text between the angle brackets, exactly as written: the parser's copy may differ in quoting.
fn path(text: &[u8]) -> Option<&str> {
    let open = text.iter().position(|octet| *octet == b'<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (offset, octet) in text[open + 1..].iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return std::str::from_utf8(&text[open + 1..open + 1 + offset]).ok(),
            _ => {}
        }
    }
    None
}

fn refusal(error: &Error, text: &[u8]) -> Reply {
    match error {
        Error::InvalidSenderAddress => replies::bad_sender(&"its syntax is wrong"),
        Error::InvalidRecipientAddress => replies::bad_recipient(&"its syntax is wrong"),
        Error::SyntaxError { syntax } => replies::syntax(syntax),
        Error::InvalidParameter { param } => replies::bad_parameter(param),
        Error::UnsupportedParameter { param } => replies::parameter_not_offered(param),
        _ => {
            let word = text.split(|octet| *octet == b' ').next().unwrap_or_default();
            replies::unknown_command(&String::from_utf8_lossy(word))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(format!("{line}\r\n").as_bytes(), "relay.example").map_err(|reply| reply.to_line())
    }

    fn mail_from(path: &str) -> Command {
        let reverse_path = if path.is_empty() {
            ReversePath::Null
        } else {
            ReversePath::Mailbox(Address::parse(path).expect(path))
        };
        Command::Mail { reverse_path, size: 0, body: Body::SevenBit, smtputf8: false, auth: false }
    }

    #[test]
    fn commands_in_any_case() {
        let table = [
            ("ehlo Mailer.example", Command::Ehlo("Mailer.example".into())),
            ("HELO [127.0.0.1]", Command::Helo("[127.0.0.1]".into())),
            ("mail from:<>", mail_from("")),
            ("MAIL FROM:<a@b.example>", mail_from("a@b.example")),
            ("Mail From:<\"a b\"@c.example>", mail_from("\"a b\"@c.example")),
            ("MAIL FROM:<\"a\\\"b>c\"@c.example>", mail_from("\"a\\\"b>c\"@c.example")),
            ("rcpt TO:<A+b@c.example>", Command::Rcpt(Address::parse("A+b@c.example").expect("address"))),
            (
                "RCPT TO:<postmaster>",
                Command::Rcpt(Address::parse("postmaster@relay.example").expect("address")),
            ),
            ("data", Command::Data),
            ("starttls", Command::StartTls),
            ("auth login", Command::Auth { mechanism: Mechanism::Login, initial: None }),
            ("AUTH PLAIN =", Command::Auth { mechanism: Mechanism::Plain, initial: Some("=".into()) }),
            (
                "AUTH plain AGFuYQBwdw==",
                Command::Auth { mechanism: Mechanism::Plain, initial: Some("AGFuYQBwdw==".into()) },
            ),
            ("bdat 5", Command::Bdat { size: 5, last: false }),
            ("BDAT 0 last", Command::Bdat { size: 0, last: true }),
            ("RSET", Command::Rset),
            ("noop anything", Command::Noop),
            ("VRFY someone", Command::Vrfy),
            ("HELP", Command::Help),
            ("quit", Command::Quit),
            ("GET / HTTP/1.1", Command::Http),
        ];
        for (line, command) in table {
            assert_eq!(parsed(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn parameters_that_are_offered() {
        let expected = Command::Mail {
            reverse_path: ReversePath::Mailbox(Address::parse("é@b.example").expect("address")),
            size: 1000,
            body: Body::EightBitMime,
            smtputf8: true,
            auth: true,
        };
        assert_eq!(parsed("MAIL FROM:<é@b.example> SIZE=1000 BODY=8BITMIME SMTPUTF8 AUTH=<>"), Ok(expected));
    }

    #[test]
    fn what_is_no_command_has_its_reply() {
        let table = [
            ("", 500),
            ("FROB", 500),
            ("EXPN list", 502),
            ("AUTH CRAM-MD5", 504),
            ("AUTH", 501),
            ("BDAT", 501),
            ("BDAT -5", 501),
            ("BDAT 5 FIRST", 501),
            ("MAIL FROM:a@b.example", 501),
            ("MAIL FROM:<a b@c.example>", 501),
            ("MAIL FROM:<é@b.example>", 550),
            ("MAIL FROM:<a@b.example> BODY=BINARYMIME", 555),
            ("MAIL FROM:<a@b.example> RET=HDRS", 555),
            ("MAIL FROM:<a@b.example> FROB=1", 555),
            ("MAIL FROM:<a@b.example> SIZE=many", 501),
            ("RCPT TO:<>", 501),
            ("RCPT TO:<nobody>", 501),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER", 555),
            ("MAIL FROM:<a@b.example>\0", 500),
        ];
        for (line, code) in table {
            let reply = parsed(line).expect_err(line);
            assert!(reply.starts_with(&code.to_string()), "{line}: {reply}");
        }
    }

    #[test]
    fn eight_bit_lines_that_are_no_utf8_are_refused() {
        assert!(parse(b"MAIL FROM:<\xff@b.example>\r\n", "r").is_err());
    }
}
