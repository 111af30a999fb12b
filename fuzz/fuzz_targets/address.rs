//! An address keeps its text, cannot break a command line, and its key is stable.
#![no_main]

use consentry::smtp::Address;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(address) = Address::parse(text) {
        assert_eq!(address.as_str(), text);
        assert!(!text.contains(['\r', '\n', '\0']));
        let key = address.key(true);
        if let Ok(again) = Address::parse(key.as_str()) {
            assert_eq!(again.key(true), key);
        }
    }
});
