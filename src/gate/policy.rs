//! The decision, as a pure function of verdict, consent, declared class and mode (the table in the
//! design, section 5; PECR regulation 22).

use crate::audit::{Action, Mode, Reason};
use crate::config::{DeclaredClass, OnError, OnErrorAction, Partial, UnknownLanguage};
use crate::consent::{Standing, Status};
use crate::detect::Class;

/// What is known of the message when the decision is made.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// What the content is; `None` when no verdict was possible.
    pub verdict: Option<Content>,
    /// What the sender says that it is.
    pub declared: DeclaredClass,
    /// The mode in force.
    pub mode: Mode,
    /// Whether a service message in a language that the rules do not know is one.
    pub unknown_language: UnknownLanguage,
    /// What happens without a verdict.
    pub on_error: OnError,
    /// What happens when only some recipients may have the message.
    pub partial: Partial,
}

/// What the policy needs of a verdict.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Service, mixed or marketing.
    pub class: Class,
    /// The rules know the message's language.
    pub language_supported: bool,
    /// The message carries a simple means to refuse further ones (PECR regulation 22(3)(c)).
    pub opt_out_offered: bool,
}

/// What is done for one recipient, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What is done.
    pub action: Action,
    /// What enforce mode would do; the same in enforce mode.
    pub would: Action,
    /// Why.
    pub reason: Reason,
}

/// What is done with the message as a whole: SMTP has one answer after the dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It goes to the outbound server for all its recipients.
    Forward,
    /// It is refused for good.
    Withhold,
    /// It is put off: the mailer tries again.
    Defer,
}

/// Whether a message of this class may go only to those who agreed: any promotional element counts
/// (PECR regulation 22), and so does the sender's own word that it is marketing.
pub fn needs_consent(class: Class, declared: DeclaredClass) -> bool {
    class != Class::Service || declared == DeclaredClass::Marketing
}

/// Whether the message only seems neutral because nobody could read it, and the configuration takes that
/// for no verdict. Promotion that was found counts in any language, and where consent is needed anyway
/// there is nothing to be known from the words.
pub fn is_unread(content: &Content, declared: DeclaredClass, unknown_language: UnknownLanguage) -> bool {
    unknown_language == UnknownLanguage::NoVerdict
        && !content.language_supported
        && !needs_consent(content.class, declared)
}

/// Decides for every recipient, in the order of `standings`.
pub fn decide(situation: &Situation, standings: &[Standing]) -> (Disposition, Vec<Ruling>) {
    let read = |content: &Content| !is_unread(content, situation.declared, situation.unknown_language);
    let Some(content) = situation.verdict.filter(read) else {
        return without_verdict(situation, standings.len());
    };
    let consent_needed = needs_consent(content.class, situation.declared);
    let reasons: Vec<Reason> = standings
        .iter()
        .map(
            |standing| {
                if consent_needed { consent(standing, content.opt_out_offered) } else { Reason::Service }
            },
        )
        .collect();
    let Partial::Reject = situation.partial;
    let all_allowed = reasons.iter().all(|reason| allows(*reason));
    let rulings = reasons
        .into_iter()
        .map(|reason| {
            let would = if all_allowed { Action::Forward } else { Action::Withhold };
            let reason = if !all_allowed && allows(reason) { Reason::AllOrNothing } else { reason };
            let action = if situation.mode == Mode::Enforce { would } else { Action::Forward };
            Ruling { action, would, reason }
        })
        .collect();
    let forwarded = all_allowed || situation.mode == Mode::Monitor;
    (if forwarded { Disposition::Forward } else { Disposition::Withhold }, rulings)
}

fn without_verdict(situation: &Situation, recipients: usize) -> (Disposition, Vec<Ruling>) {
    let action =
        |on_error| if on_error == OnErrorAction::Forward { Action::Forward } else { Action::Withhold };
    let in_force = match situation.mode {
        Mode::Monitor => situation.on_error.monitor,
        Mode::Enforce => situation.on_error.enforce,
    };
    let ruling = Ruling {
        action: action(in_force),
        would: action(situation.on_error.enforce),
        reason: Reason::NoVerdict,
    };
    let disposition = match in_force {
        OnErrorAction::Forward => Disposition::Forward,
        OnErrorAction::Defer => Disposition::Defer,
    };
    (disposition, vec![ruling; recipients])
}

fn consent(standing: &Standing, opt_out_offered: bool) -> Reason {
    match standing.status {
        Status::OptedIn => Reason::ConsentHeld,
        Status::SoftOptIn if opt_out_offered => Reason::ConsentHeld,
        Status::SoftOptIn => Reason::NoMeansToRefuse,
        Status::OptedOut => Reason::ConsentRefused,
        Status::Unknown if standing.expired => Reason::ConsentExpired,
        Status::Unknown => Reason::ConsentUnknown,
    }
}

fn allows(reason: Reason) -> bool {
    matches!(reason, Reason::Service | Reason::ConsentHeld)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(status: Status, expired: bool) -> Standing {
        Standing { status, expired, ..Standing::of(None, jiff::Timestamp::UNIX_EPOCH) }
    }

    fn situation(class: Option<Class>, mode: Mode) -> Situation {
        Situation {
            verdict: class.map(|class| Content { class, language_supported: true, opt_out_offered: false }),
            declared: DeclaredClass::Service,
            mode,
            unknown_language: UnknownLanguage::Judge,
            on_error: OnError::default(),
            partial: Partial::Reject,
        }
    }

    const STATUSES: [(Status, bool, Reason); 5] = [
        (Status::OptedIn, false, Reason::ConsentHeld),
        (Status::SoftOptIn, false, Reason::NoMeansToRefuse),
        (Status::OptedOut, false, Reason::ConsentRefused),
        (Status::Unknown, false, Reason::ConsentUnknown),
        (Status::Unknown, true, Reason::ConsentExpired),
    ];

    #[test]
    fn a_service_message_needs_no_consent() {
        for (status, expired, _) in STATUSES {
            for mode in [Mode::Monitor, Mode::Enforce] {
                let (disposition, rulings) =
                    decide(&situation(Some(Class::Service), mode), &[standing(status, expired)]);
                assert_eq!(disposition, Disposition::Forward);
                let expected =
                    Ruling { action: Action::Forward, would: Action::Forward, reason: Reason::Service };
                assert_eq!(rulings, [expected]);
            }
        }
    }

    #[test]
    fn a_promotional_message_needs_consent_and_monitor_forwards_all_the_same() {
        for class in [Class::Mixed, Class::Marketing] {
            for (status, expired, reason) in STATUSES {
                let held = reason == Reason::ConsentHeld;
                let would = if held { Action::Forward } else { Action::Withhold };
                let standings = [standing(status, expired)];
                let (disposition, rulings) = decide(&situation(Some(class), Mode::Enforce), &standings);
                let expected = if held { Disposition::Forward } else { Disposition::Withhold };
                assert_eq!(
                    (disposition, &rulings[..]),
                    (expected, &[Ruling { action: would, would, reason }][..])
                );
                let (disposition, rulings) = decide(&situation(Some(class), Mode::Monitor), &standings);
                let ruling = Ruling { action: Action::Forward, would, reason };
                assert_eq!((disposition, &rulings[..]), (Disposition::Forward, &[ruling][..]));
            }
        }
    }

    #[test]
    fn what_is_declared_marketing_needs_consent_whatever_its_words() {
        let declared = Situation {
            declared: DeclaredClass::Marketing,
            ..situation(Some(Class::Service), Mode::Enforce)
        };
        let (disposition, rulings) = decide(&declared, &[standing(Status::Unknown, false)]);
        assert_eq!((disposition, rulings[0].reason), (Disposition::Withhold, Reason::ConsentUnknown));
        let (disposition, _) = decide(&declared, &[standing(Status::OptedIn, false)]);
        assert_eq!(disposition, Disposition::Forward);
    }

    #[test]
    fn soft_opt_in_counts_with_a_means_to_refuse() {
        let content = Content { class: Class::Marketing, language_supported: true, opt_out_offered: true };
        let offered = Situation { verdict: Some(content), ..situation(None, Mode::Enforce) };
        let (disposition, rulings) = decide(&offered, &[standing(Status::SoftOptIn, false)]);
        assert_eq!((disposition, rulings[0].reason), (Disposition::Forward, Reason::ConsentHeld));
    }

    #[test]
    fn one_withheld_recipient_withholds_the_message() {
        let standings = [standing(Status::OptedIn, false), standing(Status::OptedOut, false)];
        let (disposition, rulings) = decide(&situation(Some(Class::Mixed), Mode::Enforce), &standings);
        assert_eq!(disposition, Disposition::Withhold);
        let reasons: Vec<_> = rulings.iter().map(|ruling| (ruling.action, ruling.reason)).collect();
        assert_eq!(
            reasons,
            [(Action::Withhold, Reason::AllOrNothing), (Action::Withhold, Reason::ConsentRefused)]
        );
    }

    #[test]
    fn without_a_verdict_the_configuration_decides() {
        let standings = [standing(Status::OptedIn, false)];
        let table = [
            (Mode::Enforce, Disposition::Defer, Action::Withhold),
            (Mode::Monitor, Disposition::Forward, Action::Forward),
        ];
        for (mode, disposition, action) in table {
            let (decided, rulings) = decide(&situation(None, mode), &standings);
            let ruling = Ruling { action, would: Action::Withhold, reason: Reason::NoVerdict };
            assert_eq!((decided, &rulings[..]), (disposition, &[ruling][..]));
        }
        let on_error = OnError { enforce: OnErrorAction::Forward, monitor: OnErrorAction::Defer };
        let swapped = |mode| decide(&Situation { on_error, ..situation(None, mode) }, &standings).0;
        assert_eq!(
            (swapped(Mode::Enforce), swapped(Mode::Monitor)),
            (Disposition::Forward, Disposition::Defer)
        );
    }
    #[test]
    fn a_service_message_that_nobody_could_read_is_what_the_configuration_says() {
        let foreign = |class, unknown_language, mode| {
            let content = Content { class, language_supported: false, opt_out_offered: false };
            Situation { verdict: Some(content), unknown_language, ..situation(None, mode) }
        };
        let stranger = [standing(Status::Unknown, false)];
        let (judge, no_verdict) = (UnknownLanguage::Judge, UnknownLanguage::NoVerdict);
        for (class, unknown_language, mode, disposition, reason) in [
            (Class::Service, judge, Mode::Enforce, Disposition::Forward, Reason::Service),
            (Class::Service, no_verdict, Mode::Enforce, Disposition::Defer, Reason::NoVerdict),
            (Class::Service, no_verdict, Mode::Monitor, Disposition::Forward, Reason::NoVerdict),
            (Class::Mixed, judge, Mode::Enforce, Disposition::Withhold, Reason::ConsentUnknown),
            (Class::Mixed, no_verdict, Mode::Enforce, Disposition::Withhold, Reason::ConsentUnknown),
            (Class::Marketing, no_verdict, Mode::Monitor, Disposition::Forward, Reason::ConsentUnknown),
        ] {
            let (decided, rulings) = decide(&foreign(class, unknown_language, mode), &stranger);
            assert_eq!(
                (decided, rulings[0].reason),
                (disposition, reason),
                "{class} {unknown_language:?} {mode}"
            );
        }
        let held = [standing(Status::OptedIn, false)];
        let agreed = foreign(Class::Marketing, no_verdict, Mode::Enforce);
        assert_eq!(decide(&agreed, &held).0, Disposition::Forward);
        let declared = Situation {
            declared: DeclaredClass::Marketing,
            ..foreign(Class::Service, no_verdict, Mode::Enforce)
        };
        assert_eq!(decide(&declared, &stranger).1[0].reason, Reason::ConsentUnknown);
        assert_eq!(decide(&declared, &held).0, Disposition::Forward);
        let known =
            Situation { unknown_language: no_verdict, ..situation(Some(Class::Service), Mode::Enforce) };
        assert_eq!(decide(&known, &stranger).0, Disposition::Forward);
    }
}
