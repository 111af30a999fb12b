//! One message through: the verdict on its content, each recipient's consent and the mode give one
//! decision per recipient; the decision is on disk before the message or a refusal goes anywhere.
//!
//! Owns the mode and the order of these steps. The decision itself is a pure function in [`policy`].

mod additions;
mod mode;
mod passage;
pub mod policy;
mod replies;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tracing::error;

pub use mode::{ModeError, ModeState, ModeSwitch};
pub use passage::Passage;

use crate::audit::{AuditLog, Outcome, OutcomeKind, Reference};
use crate::config::Policy;
use crate::consent::{ConsentStore, Purpose};
use crate::detect::Detector;
use crate::outbound::{Begun, Failure, MailParameters, Outbound, OutboundError};
use crate::smtp::{Envelope, MailDsn, Reply};

/// Who gave the message: what goes into the Received line and the record.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where the client connected from.
    pub address: SocketAddr,
    /// What it said in EHLO or HELO.
    pub helo: String,
    /// Whether it said EHLO.
    pub esmtp: bool,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Who has logged in.
    pub user: Option<String>,
}

/// What the gate is built from.
pub struct Parts {
    /// The next hop.
    pub outbound: Outbound,
    /// What judges the content.
    pub detector: Detector,
    /// What knows the consents.
    pub consent: Arc<ConsentStore>,
    /// What keeps the decisions.
    pub audit: AuditLog,
    /// The switch between monitor and enforce.
    pub mode: Arc<ModeSwitch>,
    /// How verdict and consent become a decision.
    pub policy: Policy,
    /// The purpose that recipients must have consented to.
    pub purpose: Purpose,
    /// The name in the Received line.
    pub hostname: String,
    /// Whether an `X-Consentry-Verdict` line is added.
    pub verdict_header: bool,
}

/// The gate; cheap to clone.
#[derive(Clone)]
pub struct Gate {
    parts: Arc<Parts>,
    /// Messages that may be judged at once: more than there are processors would only take memory.
    judging: Arc<Semaphore>,
}

impl Gate {
    /// Puts the gate together.
    pub fn new(parts: Parts) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { parts: Arc::new(parts), judging: Arc::new(Semaphore::new(processors)) }
    }

    /// Begins a mail transaction at the outbound server. The reply is the mailer's answer to MAIL; with a
    /// passage recipients may follow.
    pub async fn begin(&self, client: &Client, mail: &MailParameters<'_>) -> (Option<Passage>, Reply) {
        let envelope = Envelope {
            reverse_path: mail.reverse_path.clone(),
            recipients: Vec::new(),
            body: mail.body,
            smtputf8: mail.smtputf8,
            dsn: MailDsn::default(),
        };
        match self.parts.outbound.begin(mail).await {
            Ok(Begun::Accepted(transaction, reply)) => {
                let passage = Passage::new(self.clone(), transaction, envelope, client.clone());
                (Some(passage), replies::passed_on(&reply))
            }
            Ok(Begun::Refused(reply)) => (None, replies::passed_on(&reply)),
            Err(Failure { server, error }) => {
                (None, self.outbound_failed(client, &envelope, &server, &error).await)
            }
        }
    }

    /// Records that a transaction failed before there was a message, and says so.
    async fn outbound_failed(
        &self,
        client: &Client,
        envelope: &Envelope,
        server: &str,
        error: &OutboundError,
    ) -> Reply {
        let now = Timestamp::now();
        let reference = Reference::new(now);
        let reply = replies::outbound_failed(error, &reference);
        let kind = if reply.is_transient() { OutcomeKind::Deferred } else { OutcomeKind::Rejected };
        let mut outcome = outcome(reference, kind, &reply);
        outcome.client = Some(client.address.ip().to_string());
        outcome.from = Some(envelope.reverse_path.as_str().to_owned());
        outcome.recipients =
            envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        failed_at(&mut outcome, server, error);
        self.record_outcome(&outcome).await;
        reply
    }

    /// The outcome follows the decision. When it cannot be written, the decision stands without one,
    /// and is in doubt: the mailer's answer must not wait for it.
    async fn record_outcome(&self, outcome: &Outcome) {
        if let Err(failure) = self.parts.audit.outcome(outcome).await {
            error!(reference = %outcome.reference, %failure, "an outcome could not be recorded");
        }
    }

    fn judge_time(&self) -> Duration {
        self.parts.policy.judge_time.duration()
    }
}

/// Adds to an outcome which server failed, where and why.
fn failed_at(outcome: &mut Outcome, server: &str, error: &OutboundError) {
    outcome.outbound = Some(server.to_owned());
    outcome.step = error.step().map(|step| step.as_str().to_owned());
    outcome.error = Some(error.to_string());
}

/// What became of a message, as far as the reply tells it.
fn outcome(reference: Reference, result: OutcomeKind, reply: &Reply) -> Outcome {
    Outcome::new(Timestamp::now(), reference, result, reply.to_line())
}
