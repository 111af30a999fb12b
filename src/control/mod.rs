//! The control API: HTTP over a Unix socket in the state directory, for the commands that talk to a
//! running relay. Owns the socket and its routes; what a route does is the business of the part
//! that it asks (the gate's mode, the consent store).
//!
//! Whoever may open the socket may do everything: it is created with mode 0600, so only the user
//! that runs the relay, and root, can.

mod client;
pub mod consent;

pub use client::{Client, ControlError, SOCKET};
