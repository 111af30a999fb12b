//! Every reply that the dialogue itself gives, in one place (RFC 5321, section 4.2.3; RFC 3463).
//! What the gate and the outbound server answer is theirs.

use std::fmt::Display;

use crate::smtp::{EnhancedCode, Reply};

fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: impl Into<String>) -> Reply {
    Reply::new(code, EnhancedCode(class, subject, detail), text)
}

pub(super) fn greeting(hostname: &str) -> Reply {
    Reply::plain(220, vec![format!("{hostname} ESMTP consentry")])
}

pub(super) fn ehlo(hostname: &str, message_size: usize, offers_tls: bool, offers_auth: bool) -> Reply {
    let mut lines = vec![
        hostname.to_owned(),
        "PIPELINING".to_owned(),
        format!("SIZE {message_size}"),
        "8BITMIME".to_owned(),
        "SMTPUTF8".to_owned(),
        "ENHANCEDSTATUSCODES".to_owned(),
        "CHUNKING".to_owned(),
    ];
    if offers_auth {
        lines.push("AUTH PLAIN LOGIN".to_owned());
    }
    if offers_tls {
        lines.push("STARTTLS".to_owned());
    }
    Reply::plain(250, lines)
}

pub(super) fn helo(hostname: &str) -> Reply {
    Reply::plain(250, vec![hostname.to_owned()])
}

pub(super) fn reset() -> Reply {
    reply(250, (2, 0, 0), "ok")
}

pub(super) fn noop() -> Reply {
    reply(250, (2, 0, 0), "ok")
}

pub(super) fn vrfy() -> Reply {
    reply(252, (2, 1, 5), "cannot verify; send the message and see")
}

pub(super) fn help() -> Reply {
    reply(214, (2, 0, 0), "commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT")
}

pub(super) fn bye() -> Reply {
    reply(221, (2, 0, 0), "bye")
}

pub(super) fn start_mail_input() -> Reply {
    Reply::plain(354, vec!["end the message with <CRLF>.<CRLF>".to_owned()])
}

pub(super) fn client_not_allowed() -> Reply {
    reply(554, (5, 7, 1), "this address may not send mail here")
}

pub(super) fn too_many_sessions() -> Reply {
    reply(421, (4, 3, 2), "too many sessions, try again later")
}

pub(super) fn too_many_from_client() -> Reply {
    reply(421, (4, 7, 0), "too many sessions from this address, try again later")
}

pub(super) fn shutting_down() -> Reply {
    reply(421, (4, 3, 2), "the relay is stopping, try again later")
}

pub(super) fn too_slow() -> Reply {
    reply(421, (4, 4, 2), "timeout, closing")
}

pub(super) fn too_many_errors() -> Reply {
    reply(421, (4, 7, 0), "too many errors, closing")
}

pub(super) fn too_many_commands() -> Reply {
    reply(421, (4, 7, 0), "too many commands in one session, closing")
}

pub(super) fn not_a_mailer() -> Reply {
    reply(554, (5, 5, 0), "this is an SMTP server")
}

pub(super) fn line_too_long() -> Reply {
    reply(500, (5, 5, 2), "line too long, closing")
}

pub(super) fn bare_line_ending_in_command() -> Reply {
    reply(500, (5, 5, 2), "a line must end in CRLF, closing")
}

pub(super) fn bare_line_ending_in_message() -> Reply {
    reply(550, (5, 6, 0), "the message has a CR or LF that is not part of CRLF")
}

pub(super) fn control_character() -> Reply {
    reply(500, (5, 5, 2), "a command has no control characters")
}

pub(super) fn not_utf8() -> Reply {
    reply(500, (5, 5, 2), "a command is ASCII or UTF-8")
}

pub(super) fn unknown_command(word: &str) -> Reply {
    let word: String = word.chars().take(32).collect();
    reply(500, (5, 5, 1), format!("unknown command \"{word}\""))
}

pub(super) fn not_implemented() -> Reply {
    reply(502, (5, 5, 1), "command not implemented")
}

pub(super) fn syntax(form: &str) -> Reply {
    reply(501, (5, 5, 4), format!("syntax: {form}"))
}

pub(super) fn bad_parameter(name: &str) -> Reply {
    reply(501, (5, 5, 4), format!("the value of {name} is wrong"))
}

pub(super) fn parameter_not_offered(name: &str) -> Reply {
    reply(555, (5, 5, 4), format!("{name} is not offered here"))
}

pub(super) fn bad_sender(why: &dyn Display) -> Reply {
    reply(501, (5, 1, 7), format!("bad sender address: {why}"))
}

pub(super) fn bad_recipient(why: &dyn Display) -> Reply {
    reply(501, (5, 1, 3), format!("bad recipient address: {why}"))
}

pub(super) fn needs_smtputf8() -> Reply {
    reply(550, (5, 6, 7), "an address outside ASCII needs SMTPUTF8")
}

pub(super) fn hello_first() -> Reply {
    reply(503, (5, 5, 1), "say EHLO or HELO first")
}

pub(super) fn ehlo_first() -> Reply {
    reply(503, (5, 5, 1), "say EHLO first")
}

pub(super) fn already_encrypted() -> Reply {
    reply(503, (5, 5, 1), "the connection is encrypted already")
}

pub(super) fn ready_for_tls() -> Reply {
    reply(220, (2, 0, 0), "ready to start TLS")
}

pub(super) fn mechanism_not_offered() -> Reply {
    reply(504, (5, 5, 4), "that mechanism is not offered here")
}

pub(super) fn auth_needs_tls() -> Reply {
    reply(538, (5, 7, 11), "passwords go over TLS only: say STARTTLS first")
}

pub(super) fn auth_first() -> Reply {
    reply(530, (5, 7, 0), "log in with AUTH first")
}

pub(super) fn auth_out_of_place() -> Reply {
    reply(503, (5, 5, 1), "AUTH comes once, and not within a transaction")
}

/// A challenge (RFC 4954, section 4), already encoded.
pub(super) fn challenge(encoded: &str) -> Reply {
    Reply::plain(334, vec![encoded.to_owned()])
}

pub(super) fn auth_cancelled() -> Reply {
    reply(501, (5, 7, 0), "cancelled")
}

pub(super) fn auth_not_base64() -> Reply {
    reply(501, (5, 5, 2), "a response is base64")
}

pub(super) fn auth_accepted() -> Reply {
    reply(235, (2, 7, 0), "welcome")
}

pub(super) fn auth_refused() -> Reply {
    reply(535, (5, 7, 8), "name or password is wrong")
}

pub(super) fn auth_busy() -> Reply {
    reply(454, (4, 7, 0), "the password cannot be checked now, try again later")
}

pub(super) fn too_many_auth_failures() -> Reply {
    reply(421, (4, 7, 0), "too many wrong passwords, closing")
}

pub(super) fn text_line_too_long() -> Reply {
    reply(554, (5, 6, 0), "a line of the message is too long")
}

pub(super) fn chunk_taken(size: usize) -> Reply {
    reply(250, (2, 0, 0), format!("{size} octets taken"))
}

pub(super) fn chunks_begun() -> Reply {
    reply(503, (5, 5, 1), "the message has begun with BDAT, only BDAT or RSET may follow")
}

pub(super) fn mail_first() -> Reply {
    reply(503, (5, 5, 1), "MAIL comes first")
}

pub(super) fn nested_mail() -> Reply {
    reply(503, (5, 5, 1), "a transaction is already open")
}

pub(super) fn no_recipients() -> Reply {
    reply(554, (5, 5, 1), "no valid recipients")
}

pub(super) fn too_many_recipients() -> Reply {
    reply(452, (4, 5, 3), "too many recipients, send the rest in another transaction")
}

pub(super) fn message_too_large(limit: usize) -> Reply {
    reply(552, (5, 3, 4), format!("the message is larger than {limit} bytes"))
}

pub(super) fn no_memory() -> Reply {
    reply(452, (4, 3, 1), "no memory for the message now, try again later")
}

pub(super) fn too_many_hops(limit: usize) -> Reply {
    reply(554, (5, 4, 6), format!("more than {limit} Received lines: the message goes in circles"))
}
