//! Any bytes are judged without a panic, and every quote is bounded.
#![no_main]

use std::sync::LazyLock;

use consentry::detect::{Detector, MAX_QUOTE};

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().expect("the built-in rules"));

libfuzzer_sys::fuzz_target!(|message: &[u8]| {
    if let Ok(judgement) = DETECTOR.judge(message) {
        assert!((0.0..=1.0).contains(&judgement.verdict.score));
        for evidence in &judgement.verdict.evidence {
            assert!(!evidence.quote.is_empty() && evidence.quote.chars().count() <= MAX_QUOTE);
        }
    }
});
