//! One mail transaction through the gate: recipients as the outbound server takes them, then the message:
//! judged, decided, recorded, and only then forwarded or refused.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::timeout;
use tracing::{error, warn};

use super::policy::{self, Content, Disposition, Ruling, Situation};
use super::{Client, Gate, Parts, additions, failed_at, outcome, replies};
use crate::audit::{Decision, EvidenceRecord, OutcomeKind, RecipientDecision, Reference, VerdictRecord};
use crate::consent::Standing;
use crate::detect::{Evidence, Judgement, Verdict};
use crate::outbound::{Step, Transaction};
use crate::smtp::{Address, Envelope, Message, Recipient, Reply};

/// The most evidence that a record keeps.
const MAX_EVIDENCE: usize = 10;

/// An open transaction: MAIL was accepted by the outbound server.
pub struct Passage {
    gate: Gate,
    client: Client,
    /// Gone when a step towards the outbound server failed; `failure` says what the mailer hears then.
    transaction: Option<Transaction>,
    failure: Option<Reply>,
    envelope: Envelope,
}

/// What there is to decide upon.
struct Findings {
    judgement: Option<Judgement>,
    /// Consent of each recipient; looked up only where it is needed.
    standings: Option<Vec<Standing>>,
    /// Why there is no verdict.
    error: Option<String>,
}

impl Passage {
    pub(super) fn new(gate: Gate, transaction: Transaction, envelope: Envelope, client: Client) -> Self {
        Self { gate, client, transaction: Some(transaction), failure: None, envelope }
    }

    /// How many recipients the outbound server has accepted.
    pub fn recipients(&self) -> usize {
        self.envelope.recipients.len()
    }

    /// Whether the mailer asked for SMTPUTF8.
    pub fn is_smtputf8(&self) -> bool {
        self.envelope.smtputf8
    }

    /// Offers a recipient to the outbound server; its answer is the mailer's.
    pub async fn rcpt(&mut self, recipient: Recipient) -> Reply {
        let Some(transaction) = &mut self.transaction else { return self.failed() };
        match transaction.rcpt(&recipient.address).await {
            Ok(reply) => {
                if reply.code() == 421 {
                    let answer = replies::passed_on(&reply);
                    self.transaction = None;
                    self.failure = Some(answer.clone());
                    return answer;
                }
                if reply.is_positive() {
                    self.envelope.recipients.push(recipient);
                }
                reply
            }
            Err(error) => {
                let server = transaction.server().to_owned();
                self.transaction = None;
                self.envelope.recipients.push(recipient);
                let reply = self.gate.outbound_failed(&self.client, &self.envelope, &server, &error).await;
                self.envelope.recipients.pop();
                self.failure = Some(reply.clone());
                reply
            }
        }
    }

    /// Gives the transaction up: RSET, QUIT, or the mailer is gone.
    pub fn abort(self) {
        if let Some(transaction) = self.transaction {
            transaction.abort();
        }
    }

    /// The message is here: judges it, decides, records the decision, acts on it, records the outcome.
    /// The reply is the mailer's answer after the dot.
    pub async fn message(mut self, message: Message) -> Reply {
        let Some(transaction) = self.transaction.take() else { return self.failed() };
        let message = Arc::new(message);
        let findings = self.examine(Arc::clone(&message)).await;
        let now = Timestamp::now();
        let reference = Reference::new(now);
        let (disposition, decision) = self.decide(&findings, &message, &reference, now);
        if let Err(failure) = self.gate.parts.audit.decision(&decision).await {
            error!(%reference, %failure, "a decision could not be recorded, so the message was put off");
            transaction.abort();
            return replies::no_ledger();
        }
        match disposition {
            Disposition::Forward => self.forward(transaction, &message, &findings, reference, now).await,
            Disposition::Withhold => {
                transaction.abort();
                let verdict = findings.judgement.as_ref().map(|judgement| &judgement.verdict);
                self.refuse(OutcomeKind::Withheld, replies::withheld(verdict, &reference), reference).await
            }
            Disposition::Defer => {
                transaction.abort();
                let reply = match self.unread(&findings) {
                    Some(_) => replies::unread(&reference),
                    None => replies::no_verdict(&reference),
                };
                self.refuse(OutcomeKind::Deferred, reply, reference).await
            }
        }
    }

    fn failed(&self) -> Reply {
        self.failure.clone().unwrap_or_else(replies::no_ledger)
    }

    /// Judges the content and looks up the consents, away from the sockets' threads and within the time
    /// that one message may take.
    async fn examine(&self, message: Arc<Message>) -> Findings {
        let parts = Arc::clone(&self.gate.parts);
        let recipients = self.envelope.recipients.clone();
        let Ok(place) = Arc::clone(&self.gate.judging).acquire_owned().await else {
            return Findings::none("the relay is stopping".to_owned());
        };
        let work = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, also when nobody waits for it any more.
            let _place = place;
            examine(&parts, &message, &recipients)
        });
        match timeout(self.gate.judge_time(), work).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(_)) => Findings::none("the judge failed on this message".to_owned()),
            Err(_) => Findings::none("judging took too long".to_owned()),
        }
    }

    fn decide(
        &self,
        findings: &Findings,
        message: &Message,
        reference: &Reference,
        now: Timestamp,
    ) -> (Disposition, Decision) {
        let parts = &self.gate.parts;
        let verdict = findings.judgement.as_ref().map(|judgement| &judgement.verdict);
        let mode = parts.mode.mode(now);
        let situation = Situation {
            verdict: verdict.filter(|_| findings.error.is_none()).map(content),
            declared: parts.policy.declared,
            mode,
            unknown_language: parts.policy.unknown_language,
            on_error: parts.policy.on_error,
            partial: parts.policy.partial,
        };
        let looked_up = findings.standings.is_some();
        let standings = findings
            .standings
            .clone()
            .unwrap_or_else(|| vec![Standing::of(None, now); self.envelope.recipients.len()]);
        let (disposition, rulings) = policy::decide(&situation, &standings);
        let consents =
            standings.iter().map(|standing| looked_up.then(|| standing.status.as_str().to_owned()));
        let recipients = self.envelope.recipients.iter().zip(&rulings).zip(consents);
        let decision = Decision {
            time: now,
            reference: reference.clone(),
            mode,
            client: self.client.address.ip().to_string(),
            from: self.envelope.reverse_path.as_str().to_owned(),
            recipients: recipients
                .map(|((to, ruling), consent)| recipient(&to.address, ruling, consent))
                .collect(),
            stream: "default".to_owned(),
            declared: parts.policy.declared.as_str().to_owned(),
            verdict: verdict.map(verdict_record),
            error: findings.error.clone().or_else(|| self.unread(findings)),
            message_id: findings
                .judgement
                .as_ref()
                .map(|judgement| judgement.message_id.clone())
                .unwrap_or_default(),
            subject: findings
                .judgement
                .as_ref()
                .map(|judgement| judgement.subject.clone())
                .unwrap_or_default(),
            size: message.as_bytes().len() as u64,
        };
        (disposition, decision)
    }

    async fn forward(
        &self,
        transaction: Transaction,
        message: &Message,
        findings: &Findings,
        reference: Reference,
        now: Timestamp,
    ) -> Reply {
        let parts = &self.gate.parts;
        if message.is_eight_bit() && !transaction.takes_eight_bit() {
            transaction.abort();
            return self.refuse(OutcomeKind::Rejected, replies::needs_eight_bit(), reference).await;
        }
        let mut top =
            additions::received(&self.client, &parts.hostname, &reference, self.envelope.smtputf8, now);
        if parts.verdict_header {
            let verdict = findings.judgement.as_ref().map(|judgement| &judgement.verdict);
            let verdict = verdict.filter(|_| self.unread(findings).is_none());
            top.push_str(&additions::verdict(verdict, &reference));
        }
        let size = top.len() + message.as_bytes().len();
        if let Some(limit) = transaction.size_limit().filter(|limit| size > *limit) {
            transaction.abort();
            return self.refuse(OutcomeKind::Rejected, replies::too_large_for_server(limit), reference).await;
        }
        let server = transaction.server().to_owned();
        let sent = transaction.send(&[top.as_bytes(), message.as_bytes()]).await;
        let (reply, mut outcome) = match sent {
            Ok(answer) => {
                let reply = replies::forwarded(&answer);
                let kind = match answer.code() {
                    200..=299 => OutcomeKind::Forwarded,
                    400..=499 => OutcomeKind::Deferred,
                    _ => OutcomeKind::Rejected,
                };
                let mut outcome = outcome(reference, kind, &reply);
                outcome.outbound_reply = Some(answer.to_line());
                (reply, outcome)
            }
            Err(error) => {
                let reply = replies::outbound_failed(&error, &reference);
                let in_doubt = error.step() == Some(Step::FinalDot);
                let kind = if in_doubt { OutcomeKind::InDoubt } else { OutcomeKind::Deferred };
                let mut outcome = outcome(reference, kind, &reply);
                failed_at(&mut outcome, &server, &error);
                (reply, outcome)
            }
        };
        outcome.outbound = Some(server);
        self.gate.record_outcome(&outcome).await;
        reply
    }

    /// Why the words that were found are no verdict, though the judge was at work.
    fn unread(&self, findings: &Findings) -> Option<String> {
        let verdict = findings.judgement.as_ref().map(|judgement| &judgement.verdict)?;
        let policy = &self.gate.parts.policy;
        policy::is_unread(&content(verdict), policy.declared, policy.unknown_language)
            .then(|| format!("the language of the message ({}) is not supported", verdict.language))
    }

    async fn refuse(&self, kind: OutcomeKind, reply: Reply, reference: Reference) -> Reply {
        let outcome = outcome(reference, kind, &reply);
        self.gate.record_outcome(&outcome).await;
        reply
    }
}

fn examine(parts: &Parts, message: &Message, recipients: &[Recipient]) -> Findings {
    let judgement = match parts.detector.judge(message.as_bytes()) {
        Ok(judgement) => judgement,
        Err(failure) => return Findings::none(failure.to_string()),
    };
    let mut findings = Findings { judgement: Some(judgement), standings: None, error: None };
    let Some(Judgement { verdict, .. }) = &findings.judgement else { return findings };
    if policy::needs_consent(verdict.class, parts.policy.declared) {
        let now = Timestamp::now();
        let standing =
            |recipient: &Recipient| parts.consent.standing(&recipient.address, &parts.purpose, now);
        match recipients.iter().map(standing).collect() {
            Ok(standings) => findings.standings = Some(standings),
            Err(failure) => findings.error = Some(failure.to_string()),
        }
    }
    findings
}

impl Findings {
    fn none(error: String) -> Self {
        warn!(%error, "no verdict was possible");
        Self { judgement: None, standings: None, error: Some(error) }
    }
}

/// What the policy needs of a verdict.
fn content(verdict: &Verdict) -> Content {
    Content {
        class: verdict.class,
        language_supported: verdict.language_supported,
        opt_out_offered: verdict.opt_out_offered,
    }
}

/// The form in which a verdict is kept: the strongest evidence, all texts bounded by the detector.
fn verdict_record(verdict: &Verdict) -> VerdictRecord {
    let evidence = |evidence: &Evidence| EvidenceRecord {
        quote: evidence.quote.clone(),
        place: evidence.place.to_string(),
        rule: evidence.rule.clone(),
        title: evidence.title.clone(),
        law: evidence.law.clone(),
        weight: evidence.weight,
    };
    VerdictRecord {
        class: verdict.class.as_str().to_owned(),
        score: verdict.score,
        language: verdict.language.clone(),
        language_supported: Some(verdict.language_supported),
        opt_out_offered: verdict.opt_out_offered,
        evidence: verdict.evidence.iter().take(MAX_EVIDENCE).map(evidence).collect(),
    }
}

fn recipient(address: &Address, ruling: &Ruling, consent: Option<String>) -> RecipientDecision {
    RecipientDecision {
        to: address.as_str().to_owned(),
        action: ruling.action,
        would: ruling.would,
        reason: ruling.reason,
        consent,
    }
}
