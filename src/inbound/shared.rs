//! What all sessions share. Owns nothing but the putting together.

use std::sync::Arc;

use super::auth::Users;
use super::budget::{MemoryBudget, SessionCount};
use crate::config::{Limits, User};
use crate::gate::Gate;

/// What every session may use.
pub(super) struct Shared {
    pub(super) gate: Gate,
    pub(super) hostname: String,
    pub(super) limits: Limits,
    pub(super) users: Users,
    pub(super) memory: Arc<MemoryBudget>,
    pub(super) sessions: Arc<SessionCount>,
}

impl Shared {
    pub(super) fn new(gate: Gate, hostname: String, limits: Limits, users: Vec<User>) -> Self {
        let memory = MemoryBudget::new(limits.memory.bytes());
        let sessions = SessionCount::new(limits.sessions, limits.sessions_per_client);
        Self { gate, hostname, limits, users: Users::new(users), memory, sessions }
    }
}
