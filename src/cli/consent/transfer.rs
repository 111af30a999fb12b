//! Bringing lists of consent in and out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::consent::NewRecord;
use crate::consent::table::{self, Format};
use crate::control::consent::MAX_BATCH;

use super::backend::Backend;
use super::show::Style;
use super::{ExportArgs, Failure, ImportArgs, ListFormat};
use crate::cli::exit;

/// A batch is sent at this size, in bytes, even when more records would fit by their number.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What came of an import.
#[derive(Serialize)]
struct Summary {
    file: String,
    recorded: u64,
    bad_rows: u64,
}

/// Brings a list in. Bad rows are named on stderr and the rest goes in.
pub async fn import(args: &ImportArgs, backend: &Backend, user: &str, style: Style) -> Result<(), Failure> {
    let name = if args.file == Path::new("-") {
        "standard input".to_owned()
    } else {
        args.file.display().to_string()
    };
    let no_input = |error: io::Error| Failure::new(exit::NO_INPUT, format!("cannot read {name}: {error}"));
    let mut input: Box<dyn BufRead> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(&args.file).map_err(no_input)?))
    };
    let format = match args.format.map(Format::from).or_else(|| by_extension(&args.file)) {
        Some(format) => format,
        None => by_first_byte(&mut input).map_err(no_input)?,
    };
    let mut summary = Summary { file: name.clone(), recorded: 0, bad_rows: 0 };
    let mut batch = Batch::default();
    let rows = table::read(input, format, user)
        .map_err(|error| Failure::new(exit::DATA, format!("{name}: {error}")))?;
    for row in rows {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                batch.send(backend, &mut summary).await?;
                let told =
                    format!("{name}: {error}; {} went in before that", counted(summary.recorded, "record"));
                return Err(Failure::new(exit::NO_INPUT, told));
            }
        };
        match row.fact {
            Ok(fact) => batch.push(fact),
            Err(reason) => {
                eprintln!("consentry: {name}:{}: {reason}", row.line);
                summary.bad_rows += 1;
            }
        }
        if batch.is_full() {
            batch.send(backend, &mut summary).await?;
        }
    }
    batch.send(backend, &mut summary).await?;
    report(&summary, style)
}

/// Writes the records out.
pub async fn export(args: &ExportArgs, backend: &Backend) -> Result<(), Failure> {
    let format = Format::from(args.format);
    let mut output: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(BufWriter::new(File::create_new(path).map_err(|error| {
            Failure::new(exit::CANNOT_CREATE, format!("cannot create {}: {error}", path.display()))
        })?)),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let mut from = Some(0);
    let mut written = table::write_header(&mut output, format);
    while let (Ok(()), Some(first)) = (&written, from) {
        let page = backend.page(first, !args.history).await?;
        written = table::write(&mut output, format, &page.records);
        from = page.next;
    }
    match written.and_then(|()| output.flush()) {
        // Whoever read from us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(exit::IO, format!("the export cannot be written: {error}"))),
        Ok(()) => Ok(()),
    }
}

#[derive(Default)]
struct Batch {
    facts: Vec<NewRecord>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, fact: NewRecord) {
        self.bytes +=
            128 + fact.basis.len() + fact.source.len() + fact.evidence.as_ref().map_or(0, String::len);
        self.facts.push(fact);
    }

    fn is_full(&self) -> bool {
        self.facts.len() >= MAX_BATCH || self.bytes >= MAX_BATCH_BYTES
    }

    async fn send(&mut self, backend: &Backend, summary: &mut Summary) -> Result<(), Failure> {
        let Self { facts, .. } = std::mem::take(self);
        if facts.is_empty() {
            return Ok(());
        }
        match backend.record(facts).await {
            Ok(recorded) => {
                summary.recorded += recorded.count;
                Ok(())
            }
            Err(failure) => {
                let Failure { code, text } = failure;
                Err(Failure::new(
                    code,
                    format!(
                        "{text}; {} of {} had gone in by then",
                        counted(summary.recorded, "record"),
                        summary.file
                    ),
                ))
            }
        }
    }
}

fn report(summary: &Summary, style: Style) -> Result<(), Failure> {
    if style.is_json() {
        println!("{}", super::json(summary));
    } else {
        println!("{} went in from {}", counted(summary.recorded, "record"), summary.file);
    }
    if summary.bad_rows == 0 {
        return Ok(());
    }
    let bad = counted(summary.bad_rows, "bad row");
    Err(Failure::new(exit::DATA, format!("{bad} of {} stayed out", summary.file)))
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn by_extension(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "json" => Some(Format::JsonLines),
        _ => None,
    }
}

/// No CSV header of ours begins with a brace.
fn by_first_byte(input: &mut impl BufRead) -> io::Result<Format> {
    let first = input.fill_buf()?.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    Ok(if first == Some(b'{') { Format::JsonLines } else { Format::Csv })
}

impl From<ListFormat> for Format {
    fn from(format: ListFormat) -> Self {
        match format {
            ListFormat::Csv => Self::Csv,
            ListFormat::Jsonl => Self::JsonLines,
        }
    }
}
