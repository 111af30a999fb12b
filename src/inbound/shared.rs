//! What all sessions share. Owns nothing but the putting together.

use std::sync::Arc;

use super::budget::{MemoryBudget, SessionCount};
use crate::config::Limits;
use crate::gate::Gate;

/// What every session may use.
pub(super) struct Shared {
    pub(super) gate: Gate,
    pub(super) hostname: String,
    pub(super) limits: Limits,
    pub(super) memory: Arc<MemoryBudget>,
    pub(super) sessions: Arc<SessionCount>,
}

impl Shared {
    pub(super) fn new(gate: Gate, hostname: String, limits: Limits) -> Self {
        let memory = MemoryBudget::new(limits.memory.bytes());
        let sessions = SessionCount::new(limits.sessions, limits.sessions_per_client);
        Self { gate, hostname, limits, memory, sessions }
    }
}
