//! The decision, as a pure function of verdict, consent, declared class and mode (the table in the
//! design, section 5; PECR regulation 22).

use crate::audit::{Action, Mode, Reason};
use crate::config::{DeclaredClass, OnError, OnErrorAction, Partial};
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

/// Decides for every recipient, in the order of `standings`.
pub fn decide(situation: &Situation, standings: &[Standing]) -> (Disposition, Vec<Ruling>) {
    let Some(content) = situation.verdict else {
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
