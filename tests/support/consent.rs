//! Consent facts for tests that use the store itself.

use consentry::consent::{NewRecord, Purpose, Status};
use consentry::smtp::Address;

/// The address, which must be one.
pub fn address(text: &str) -> Address {
    Address::parse(text).expect(text)
}

/// What somebody agreed to or refused, now and without end.
pub fn fact(text: &str, status: Status) -> NewRecord {
    NewRecord {
        address: address(text),
        purpose: Purpose::default(),
        status,
        basis: "box ticked".to_owned(),
        source: "test".to_owned(),
        at: None,
        until: None,
        evidence: None,
        set_by: "test".to_owned(),
    }
}
