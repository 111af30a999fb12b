//! Labelled messages on disk, for `train` and `evaluate`: lists (`labels.tsv` with the messages beside
//! it) and files of the training format. Owns finding and reading them.

mod compose;

use std::fs;
use std::path::{Path, PathBuf};

use crate::detect::Class;
use crate::detect::model::{self, LabelledMessage, TrainingError};

/// The list in a directory of labelled mail.
const LIST: &str = "labels.tsv";

/// A message with its label.
pub(super) struct Labelled {
    pub id: String,
    pub label: Class,
    pub language: String,
    /// Where it comes from; of a training file, its sector.
    pub source: String,
    pub borderline: bool,
    /// RFC 5322.
    pub message: Vec<u8>,
}

/// Why labelled messages cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LabelledError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}, {source}", path.display())]
    Format { path: PathBuf, source: TrainingError },
    #[error("{}, line {line}: {reason}", path.display())]
    List { path: PathBuf, line: usize, reason: &'static str },
    #[error("{}: there is neither a {LIST} nor a .txt file of the training format", .0.display())]
    Nothing(PathBuf),
}

/// Reads labelled messages: a list, a training file, or a directory that holds either.
pub(super) fn read(path: &Path) -> Result<Vec<Labelled>, LabelledError> {
    let list = if path.is_dir() { path.join(LIST) } else { path.to_owned() };
    if list.extension().is_some_and(|extension| extension == "tsv") && list.exists() {
        return read_list(&list);
    }
    Ok(read_training(path)?.iter().map(compose::labelled).collect())
}

/// Reads files of the training format, below a directory or one.
pub(super) fn read_training(path: &Path) -> Result<Vec<LabelledMessage>, LabelledError> {
    let mut files = Vec::new();
    find_texts(path, &mut files)?;
    if files.is_empty() {
        return Err(LabelledError::Nothing(path.to_owned()));
    }
    let mut all = Vec::new();
    for path in files {
        let text =
            fs::read_to_string(&path).map_err(|source| LabelledError::Read { path: path.clone(), source })?;
        all.extend(model::read(&text).map_err(|source| LabelledError::Format { path, source })?);
    }
    Ok(all)
}

fn find_texts(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), LabelledError> {
    let fault = |source| LabelledError::Read { path: path.to_owned(), source };
    if !path.is_dir() {
        fs::metadata(path).map_err(fault)?;
        found.push(path.to_owned());
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = fs::read_dir(path).map_err(fault)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(fault)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "txt") {
            find_texts(&path, found)?;
        }
    }
    Ok(())
}

/// Columns, by the names in the first line: id, label, language, and as it pleases note and a source.
fn read_list(list: &Path) -> Result<Vec<Labelled>, LabelledError> {
    let text =
        fs::read_to_string(list).map_err(|source| LabelledError::Read { path: list.to_owned(), source })?;
    let mut lines = text.lines().enumerate();
    let header: Vec<&str> = lines.next().map_or("", |(_, line)| line).split('\t').collect();
    let column = |name: &str| header.iter().position(|title| title.starts_with(name));
    let fault = |line: usize, reason| LabelledError::List { path: list.to_owned(), line: line + 1, reason };
    let (Some(id), Some(label)) = (column("id"), column("label")) else {
        return Err(fault(0, "the first line must name the columns `id` and `label`"));
    };
    let (language, source, note) = (column("language"), column("source"), column("note"));
    let messages = list.parent().unwrap_or(Path::new("")).join("messages");
    let mut all = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |at: Option<usize>| at.and_then(|at| fields.get(at)).copied().unwrap_or_default();
        let label = match field(Some(label)) {
            "service" => Class::Service,
            "mixed" => Class::Mixed,
            "marketing" => Class::Marketing,
            _ => return Err(fault(number, "the label must be service, mixed or marketing")),
        };
        let path = messages.join(format!("{}.eml", field(Some(id))));
        let message = fs::read(&path).map_err(|source| LabelledError::Read { path, source })?;
        all.push(Labelled {
            id: field(Some(id)).to_owned(),
            label,
            language: field(language).to_owned(),
            source: field(source).to_owned(),
            borderline: field(note).contains("borderline"),
            message,
        });
    }
    Ok(all)
}
