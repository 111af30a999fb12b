//! The rows of a CSV file.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::{COLUMNS, Cells, MAX_LINE, NextRow, TableError, read_line, too_long};

/// The rows of a CSV file. We find their ends ourselves: the `csv` reader loses count of the lines at
/// CRLF and empty lines, and lets a quote that is never closed swallow the rest of the file.
pub(super) struct CsvRows<R> {
    input: R,
    delimiter: u8,
    columns: Vec<String>,
    /// The number of the last line that was taken.
    line: u64,
    /// Lines that were read in search of a closing quote.
    ahead: VecDeque<Vec<u8>>,
}

impl<R: BufRead> CsvRows<R> {
    /// Reads the header line.
    pub(super) fn new(mut input: R) -> Result<Self, TableError> {
        let header = read_line(&mut input)?.ok_or(TableError::Empty)?;
        let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
        let delimiter = delimiter(header);
        Ok(Self { input, delimiter, columns: columns(header, delimiter)?, line: 1, ahead: VecDeque::new() })
    }

    /// The next row.
    pub(super) fn next(&mut self) -> io::Result<NextRow> {
        loop {
            let Some(mut text) = self.next_line()? else { return Ok(None) };
            let line = self.line;
            if text.trim_ascii().is_empty() {
                continue;
            }
            if is_within_quotes(&text, self.delimiter) {
                let Some(whole) = self.close_quotes(&text)? else {
                    return Ok(Some((line, Err("a quote is opened and never closed".to_owned()))));
                };
                text = whole;
            }
            return Ok(Some((line, self.cells(&text))));
        }
    }

    /// The row with the lines up to its closing quote, or `None`, with no line taken, without one.
    fn close_quotes(&mut self, first: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut whole = first.to_vec();
        let mut used = 0;
        while (whole.len() as u64) < MAX_LINE {
            if used == self.ahead.len() {
                match read_line(&mut self.input)? {
                    Some(line) => self.ahead.push_back(line),
                    None => break,
                }
            }
            whole.extend_from_slice(&self.ahead[used]);
            used += 1;
            if !is_within_quotes(&whole, self.delimiter) {
                self.ahead.drain(..used);
                self.line += used as u64;
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let next = match self.ahead.pop_front() {
            Some(line) => Some(line),
            None => read_line(&mut self.input)?,
        };
        self.line += u64::from(next.is_some());
        Ok(next)
    }

    fn cells(&self, text: &[u8]) -> Result<Cells, String> {
        if text.len() as u64 >= MAX_LINE {
            return Err(too_long());
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .buffer_capacity(text.len().max(64))
            .from_reader(text);
        let (mut record, mut more) = (csv::ByteRecord::new(), csv::ByteRecord::new());
        let read = |reader: &mut csv::Reader<&[u8]>, record: &mut csv::ByteRecord| {
            reader.read_byte_record(record).map_err(|error| error.to_string())
        };
        read(&mut reader, &mut record)?;
        if read(&mut reader, &mut more)? {
            return Err("the row holds a carriage return that ends no line".to_owned());
        }
        if record.len() != self.columns.len() {
            return Err(format!(
                "the row has {} columns where the header has {}",
                record.len(),
                self.columns.len()
            ));
        }
        let mut cells = Cells::default();
        for (column, cell) in self.columns.iter().zip(&record) {
            let text = std::str::from_utf8(cell).map_err(|_| format!("the {column} is not valid UTF-8"))?;
            if let Some(place) = cells.place(column) {
                *place = Some(text.to_owned());
            }
        }
        Ok(cells)
    }
}

/// True when the text ends inside a quoted cell (RFC 4180: quotes open at the beginning of a cell only).
fn is_within_quotes(text: &[u8], delimiter: u8) -> bool {
    let (mut quoted, mut at_start) = (false, true);
    let mut bytes = text.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if quoted {
            if byte == b'"' && bytes.next_if(|next| **next == b'"').is_none() {
                quoted = false;
            }
        } else if byte == b'"' && at_start {
            quoted = true;
            at_start = false;
        } else {
            at_start = byte == delimiter;
        }
    }
    quoted
}

/// Spreadsheets write semicolons where the comma is the decimal sign.
fn delimiter(header: &[u8]) -> u8 {
    [b',', b';', b'\t'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(b',')
}

fn columns(header: &[u8], delimiter: u8) -> Result<Vec<String>, TableError> {
    let mut record = csv::StringRecord::new();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(header);
    if !reader.read_record(&mut record).map_err(io::Error::from)? {
        return Err(TableError::Empty);
    }
    let columns: Vec<String> = record.iter().map(str::to_lowercase).collect();
    for (place, column) in columns.iter().enumerate() {
        if !COLUMNS.contains(&column.as_str()) {
            return Err(TableError::UnknownColumn(column.chars().take(60).collect()));
        }
        if columns[..place].contains(column) {
            return Err(TableError::RepeatedColumn(column.clone()));
        }
    }
    match ["address", "status", "source"].into_iter().find(|needed| !columns.iter().any(|c| c == needed)) {
        Some(missing) => Err(TableError::MissingColumn(missing)),
        None => Ok(columns),
    }
}
