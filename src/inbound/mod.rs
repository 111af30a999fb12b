//! The mailer's side: listeners, the limits on what a client may do, and the SMTP dialogue with each.
//! What becomes of a message is the gate's business.

mod auth;
mod budget;
mod chunks;
mod command;
mod data;
mod input;
mod replies;
mod server;
mod session;
mod shared;
mod stream;
mod tls;

pub use server::{BindError, Bound, Server};
pub use tls::CertificateError;
