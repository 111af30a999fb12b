//! consentry: an outbound SMTP relay that finds marketing disguised as service mail, checks each
//! recipient's consent, forwards or refuses, and can prove afterwards what it did.
//!
//! The modules are listed in the order of the layers: each imports only from those below it.
//! ARCHITECTURE.md follows one message through them.
#![forbid(unsafe_code)]

pub mod cli;

pub mod relay;
pub mod sink;

pub mod control;
pub mod inbound;

pub mod gate;

pub mod outbound;

pub mod audit;

pub mod consent;
pub mod detect;

pub mod config;
pub mod ledger;
pub mod smtp;

pub mod password;
