//! Any list is read to its end: each row a fact or a reason with its line, lines in order.
#![no_main]

use consentry::consent::table::{Format, read};

libfuzzer_sys::fuzz_target!(|list: &[u8]| {
    for format in [Format::Csv, Format::JsonLines] {
        let Ok(rows) = read(list, format, "fuzz") else { continue };
        let mut last = 0;
        for row in rows {
            let Ok(row) = row else { break };
            assert!(row.line > last, "{} after {last}", row.line);
            last = row.line;
        }
    }
});
