//! Lists of consent facts as files: CSV with a header line, and JSON lines.
//!
//! The columns are the fields of a record ([`super::record`]). Of an export that is read back, the
//! columns `record`, `recorded_at` and `set_by` are passed over: the new record says who brought it in
//! and when. A grant must say when it was given; an old list without times would otherwise overturn
//! every refusal that came after it.

mod csv_rows;

use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;

use super::moment::{self, DayEdge};
use super::record::{NewRecord, Purpose, Status};
use super::store::Numbered;
use crate::smtp::Address;
use csv_rows::CsvRows;

/// How a list is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with a header line; the separator may also be a semicolon or a tab.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

/// One row of a list.
#[derive(Debug)]
pub struct Row {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// The fact, or in words why the row is none.
    pub fact: Result<NewRecord, String>,
}

/// Why a list cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("the list cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("the list is empty: it needs a header line such as address,status,basis,source,at")]
    Empty,
    /// The header names a column that we do not know.
    #[error(
        "line 1: there is no column {0:?}; the columns are address, purpose, status, basis, source, at, until, evidence"
    )]
    UnknownColumn(String),
    /// The header lacks a column that every row needs.
    #[error("line 1: the column {0:?} is missing from the header")]
    MissingColumn(&'static str),
    /// The header names a column twice.
    #[error("line 1: the column {0:?} stands there twice")]
    RepeatedColumn(String),
}

/// The rows of a list, see [`read`].
pub struct Rows<R> {
    source: Source<R>,
    set_by: String,
}

enum Source<R> {
    Csv(CsvRows<R>),
    JsonLines { input: R, line: u64 },
}

/// A row as it stands in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cells {
    address: Option<String>,
    purpose: Option<String>,
    status: Option<String>,
    basis: Option<String>,
    source: Option<String>,
    at: Option<String>,
    until: Option<String>,
    evidence: Option<String>,
    #[serde(rename = "record")]
    _record: Option<serde::de::IgnoredAny>,
    #[serde(rename = "recorded_at")]
    _recorded_at: Option<serde::de::IgnoredAny>,
    #[serde(rename = "set_by")]
    _set_by: Option<serde::de::IgnoredAny>,
}

/// The columns of an export, in order.
const COLUMNS: [&str; 11] = [
    "record",
    "address",
    "purpose",
    "status",
    "basis",
    "source",
    "at",
    "until",
    "evidence",
    "set_by",
    "recorded_at",
];
/// A longer line is no record: the texts in it have narrower limits.
const MAX_LINE: u64 = 256 * 1024;

/// Reads a list; `set_by` is who brings it in.
///
/// # Errors
/// [`TableError`] when the header is not one of ours or the file cannot be read. A row that is at fault
/// is not an error of the list: see [`Row::fact`].
pub fn read<R: BufRead>(input: R, format: Format, set_by: &str) -> Result<Rows<R>, TableError> {
    let source = match format {
        Format::JsonLines => Source::JsonLines { input, line: 0 },
        Format::Csv => Source::Csv(CsvRows::new(input)?),
    };
    Ok(Rows { source, set_by: set_by.to_owned() })
}

/// Writes the header line, where the format has one.
///
/// # Errors
/// The output's.
pub fn write_header(output: &mut impl Write, format: Format) -> io::Result<()> {
    match format {
        Format::Csv => writeln!(output, "{}", COLUMNS.join(",")),
        Format::JsonLines => Ok(()),
    }
}

/// Writes records.
///
/// # Errors
/// The output's.
pub fn write(output: &mut impl Write, format: Format, records: &[Numbered]) -> io::Result<()> {
    if format == Format::JsonLines {
        for record in records {
            serde_json::to_writer(&mut *output, record)?;
            output.write_all(b"\n")?;
        }
        return Ok(());
    }
    let mut writer = csv::Writer::from_writer(output);
    for Numbered { record, fact } in records {
        writer.write_record([
            record.to_string().as_str(),
            fact.address.as_str(),
            fact.purpose.as_str(),
            fact.status.as_str(),
            &fact.basis,
            &fact.source,
            &format!("{:.6}", fact.at),
            &fact.until.map(|until| format!("{until:.6}")).unwrap_or_default(),
            fact.evidence.as_deref().unwrap_or_default(),
            &fact.set_by,
            &format!("{:.6}", fact.recorded_at),
        ])?;
    }
    writer.flush()
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Row, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, cells) = match &mut self.source {
            Source::Csv(rows) => match rows.next() {
                Ok(next) => next?,
                Err(error) => return Some(Err(error.into())),
            },
            Source::JsonLines { input, line } => match next_json(input, line) {
                Ok(next) => next?,
                Err(error) => return Some(Err(error.into())),
            },
        };
        Some(Ok(Row { line, fact: cells.and_then(|cells| cells.into_fact(&self.set_by)) }))
    }
}

type NextRow = Option<(u64, Result<Cells, String>)>;

/// One line with its end, cut at [`MAX_LINE`]; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)? == 0 {
        return Ok(None);
    }
    if text.len() as u64 == MAX_LINE && text.last() != Some(&b'\n') {
        skip_line(input)?;
    }
    Ok(Some(text))
}

fn too_long() -> String {
    format!("the row is longer than {} KiB", MAX_LINE / 1024)
}

fn next_json(input: &mut impl BufRead, line: &mut u64) -> io::Result<NextRow> {
    loop {
        let Some(text) = read_line(input)? else { return Ok(None) };
        *line += 1;
        if text.len() as u64 >= MAX_LINE {
            return Ok(Some((*line, Err(too_long()))));
        }
        let text = if *line == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text) } else { &text };
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let cells = serde_json::from_slice::<Cells>(text).map_err(|error| {
            // serde_json counts lines within the row, where there is only one.
            let reason = error.to_string();
            match reason.rsplit_once(" at line 1 column ") {
                Some((reason, column)) => format!("{reason} (column {column})"),
                None => reason,
            }
        });
        return Ok(Some((*line, cells)));
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

impl Cells {
    fn place(&mut self, column: &str) -> Option<&mut Option<String>> {
        Some(match column {
            "address" => &mut self.address,
            "purpose" => &mut self.purpose,
            "status" => &mut self.status,
            "basis" => &mut self.basis,
            "source" => &mut self.source,
            "at" => &mut self.at,
            "until" => &mut self.until,
            "evidence" => &mut self.evidence,
            _ => return None,
        })
    }

    fn into_fact(self, set_by: &str) -> Result<NewRecord, String> {
        let told = |cell: Option<String>| cell.filter(|text| !text.trim().is_empty());
        let address = told(self.address).ok_or("the address is missing")?;
        let address = Address::parse(address.trim()).map_err(|error| format!("{address:?}: {error}"))?;
        let status: Status = told(self.status)
            .ok_or("the status is missing")?
            .parse()
            .map_err(|error: super::record::StatusError| error.to_string())?;
        let purpose = match told(self.purpose) {
            Some(purpose) => Purpose::parse(purpose.trim()).map_err(|error| error.to_string())?,
            None => Purpose::default(),
        };
        let time = |cell, edge, name| {
            told(cell)
                .map(|text| moment::parse(&text, edge).map_err(|error| format!("{name}: {error}")))
                .transpose()
        };
        let at = time(self.at, DayEdge::Begin, "at")?;
        if at.is_none() && status != Status::OptedOut {
            return Err("the time at which consent was given is missing (at): without it an old list would overturn newer refusals".to_owned());
        }
        let basis = told(self.basis).or_else(|| (status == Status::OptedOut).then(|| REFUSAL.to_owned()));
        let fact = NewRecord {
            address,
            purpose,
            status,
            basis: basis.unwrap_or_default(),
            source: told(self.source).unwrap_or_default(),
            at,
            until: time(self.until, DayEdge::End, "until")?,
            evidence: told(self.evidence),
            set_by: set_by.to_owned(),
        };
        fact.check(jiff::Timestamp::now()).map_err(|error| error.to_string())?;
        Ok(fact)
    }
}

/// The basis of a refusal that names none: refusing needs no ground.
pub const REFUSAL: &str = "refusal";

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, format: Format) -> Vec<(u64, Result<String, String>)> {
        read(text.as_bytes(), format, "ops")
            .expect("list")
            .map(|row| {
                let row = row.expect("row");
                (row.line, row.fact.map(|fact| format!("{} {}", fact.address, fact.status)))
            })
            .collect()
    }

    fn faults(text: &str, format: Format) -> Vec<(u64, String)> {
        rows(text, format).into_iter().filter_map(|(line, fact)| Some((line, fact.err()?))).collect()
    }

    #[test]
    fn csv_rows_are_facts() {
        let text = "Address,status,basis,source,at,until,evidence\r\n\
            ana@example.com,opted_in,box ticked,\"shop, web\",2026-01-02,2027-01-01,\"line\none\"\r\n\
            \r\n\
            bo@example.com,Opted-Out,,call,,,\r\n";
        assert_eq!(
            rows(text, Format::Csv),
            [(2, Ok("ana@example.com opted in".to_owned())), (5, Ok("bo@example.com opted out".to_owned()))]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_spoils_one_row_only() {
        let text = "address,status,source\na@x.example,opted_out,5\" pipe\n\
            b@x.example,opted_out,\"x\"\"\n\ny\"\nc@x.example,opted_out,\"s\"\" s\"\n\
            \"d@x.example,opted_out,s\n\ne@x.example,opted_out,s";
        let all = rows(text, Format::Csv);
        assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 6, 7, 9]);
        let faults = faults(text, Format::Csv);
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 7], "{faults:?}");
    }

    #[test]
    fn separators_and_a_byte_order_mark_of_spreadsheets_are_read() {
        for separator in [';', '\t'] {
            let text =
                "\u{feff}address;status;source;basis;at\nana@example.com;opted_in;form;box;2026-01-02\n"
                    .replace(';', &separator.to_string());
            assert_eq!(rows(&text, Format::Csv), [(2, Ok("ana@example.com opted in".to_owned()))]);
        }
    }

    #[test]
    fn a_bad_csv_row_is_named_by_line_and_reason() {
        let text = "address,status,basis,source,at\n\
            no-address,opted_in,b,s,2026-01-02\n\
            a@x.example,maybe,b,s,2026-01-02\n\
            a@x.example,opted_in,b,s,\n\
            a@x.example,opted_in,,s,2026-01-02\n\
            a@x.example,opted_in,b,s\n\
            a@x.example,opted_in,b,s,2099-01-01\n\
            a@x.example,opted_in,b,s,02.01.2026\n\
            ok@x.example,opted_in,b,s,2026-01-02\n";
        let faults = faults(text, Format::Csv);
        let parts = ["no local part", "maybe", "(at)", "basis", "4 columns", "future", "not a time"];
        assert_eq!(faults.len(), parts.len(), "{faults:?}");
        for (place, (part, (line, reason))) in parts.iter().zip(&faults).enumerate() {
            assert_eq!(*line, place as u64 + 2);
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_spoil_one_row_only() {
        let text = b"address,status,source\na\xff@x.example,opted_out,s\nb@x.example,opted_out,s\n";
        let rows: Vec<_> =
            read(&text[..], Format::Csv, "ops").expect("list").map(|r| r.expect("row")).collect();
        assert!(rows[0].fact.as_ref().is_err_and(|reason| reason.contains("UTF-8")));
        assert!(rows[1].fact.is_ok());
    }

    #[test]
    fn a_header_that_is_not_ours_is_refused_as_a_whole() {
        let refused = |text: &str| read(text.as_bytes(), Format::Csv, "ops").err().expect(text).to_string();
        assert!(refused("").contains("empty"));
        assert!(refused("address,status,source,untill\n").contains("untill"));
        assert!(refused("address,source\n").contains("status"));
        assert!(refused("address,status,source,address\n").contains("twice"));
    }

    #[test]
    fn a_bad_json_line_is_named_by_line_and_reason() {
        let long = "x".repeat(300 * 1024);
        let text = format!(
            "{}\n\n{{\"address\":\"b@x.example\",\"status\":\"opted_out\",\"source\":\"s\",\"colour\":1}}\n\
             not json\n{{\"address\":\"{long}\"}}\n{}",
            r#"{"address":"a@x.example","status":"opted_in","basis":"b","source":"s","at":"2026-01-02T00:00:00Z"}"#,
            r#"{"address":"c@x.example","status":"opted_out","source":"s"}"#,
        );
        let faults = faults(&text, Format::JsonLines);
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(faults[0].1.contains("colour") && !faults[0].1.contains("line 1"), "{faults:?}");
        assert!(faults[2].1.contains("longer"), "{faults:?}");
        assert_eq!(rows(&text, Format::JsonLines).len(), 5);
    }

    #[test]
    fn an_export_can_be_read_back() {
        let text = "address,status,basis,source,at,until,evidence\n\
            \"\"\"a b\"\"@x.example\",soft_opt_in,\"b, c\",s,2026-01-02T03:04:05.678901Z,2028-01-01,\"two\nlines\"\n";
        let now = jiff::Timestamp::now();
        let facts: Vec<NewRecord> = read(text.as_bytes(), Format::Csv, "ops")
            .expect("list")
            .map(|row| row.expect("row").fact.expect("fact"))
            .collect();
        let records: Vec<Numbered> = facts
            .iter()
            .map(|fact| Numbered { record: 7, fact: fact.clone().into_record(now, now).expect("record") })
            .collect();
        for format in [Format::Csv, Format::JsonLines] {
            let mut out = Vec::new();
            write_header(&mut out, format).expect("header");
            write(&mut out, format, &records).expect("written");
            let back: Vec<NewRecord> = read(&out[..], format, "ops")
                .expect("list")
                .map(|row| row.expect("row").fact.expect("fact"))
                .collect();
            assert_eq!(back, facts, "{format:?}");
        }
    }
}
