//! The Maildir behind the sink: `tmp`, `new` and `cur`, with each message's envelope in
//! `envelopes/<name>.json` so that the message file holds the received bytes and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::SinkError;

/// The envelope that a delivered message came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkEnvelope {
    /// The reverse-path without angle brackets.
    pub from: String,
    /// The recipients, in the order given.
    pub to: Vec<String>,
    /// The name given with HELO or EHLO.
    pub helo: String,
    /// Whether `BODY=8BITMIME` was given.
    pub eight_bit: bool,
}

/// A message found in the Maildir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The file's name, as the reply after the dot gave it.
    pub name: String,
    /// The envelope.
    pub envelope: SinkEnvelope,
    /// The bytes received, after dot-unstuffing.
    pub message: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Maildir {
    root: PathBuf,
    started: u64,
    next: AtomicU64,
}

/// A message being received; its file in `tmp` goes when it is dropped undelivered.
pub(super) struct Incoming {
    root: PathBuf,
    name: String,
    path: PathBuf,
    file: BufWriter<File>,
    envelope: SinkEnvelope,
}

impl Maildir {
    pub(super) fn create(root: PathBuf) -> Result<Self, SinkError> {
        for folder in ["tmp", "new", "cur", "envelopes"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(failed("make the directory", &path))?;
        }
        let started =
            SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
        Ok(Self { root, started, next: AtomicU64::new(0) })
    }

    pub(super) fn begin(&self, envelope: SinkEnvelope) -> Result<Incoming, SinkError> {
        // The count is padded, so that names sort in the order of arrival.
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.P{}Q{count:08}.sink", self.started, std::process::id());
        let path = self.root.join("tmp").join(&name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed("make the file", &path))?;
        Ok(Incoming { root: self.root.clone(), name, path, file: BufWriter::new(file), envelope })
    }

    pub(super) fn delivered(&self) -> Result<Vec<Delivered>, SinkError> {
        let mut files = Vec::new();
        for folder in ["new", "cur"] {
            let folder = self.root.join(folder);
            for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
                files.push(entry.map_err(failed("list", &folder))?.path());
            }
        }
        files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        files.iter().map(|path| self.read(path)).collect()
    }

    fn read(&self, path: &Path) -> Result<Delivered, SinkError> {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        // A mail reader adds `:2,` and flags when it moves a message to `cur`.
        let name = file_name.split(":2,").next().unwrap_or_default().to_owned();
        let sidecar = envelope_path(&self.root, &name);
        let text = fs::read(&sidecar).map_err(failed("read", &sidecar))?;
        let envelope = serde_json::from_slice(&text)
            .map_err(|error| failed("understand", &sidecar)(io::Error::other(error)))?;
        let message = fs::read(path).map_err(failed("read", path))?;
        Ok(Delivered { name, envelope, message })
    }
}

impl Incoming {
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), SinkError> {
        self.file.write_all(line).map_err(failed("write", &self.path))
    }

    /// Makes the message and its envelope durable, then visible; returns its name.
    pub(super) fn deliver(mut self) -> Result<String, SinkError> {
        self.file.flush().map_err(failed("write", &self.path))?;
        self.file.get_ref().sync_all().map_err(failed("sync", &self.path))?;

        // The envelope goes first: whatever stands in `new` has one.
        let sidecar = envelope_path(&self.root, &self.name);
        let text = serde_json::to_vec_pretty(&self.envelope)
            .map_err(|error| failed("write", &sidecar)(io::Error::other(error)))?;
        write_durably(&sidecar, &text).map_err(failed("write", &sidecar))?;
        sync_directory(&self.root.join("envelopes"))?;

        let new = self.root.join("new");
        let target = new.join(&self.name);
        fs::rename(&self.path, &target).map_err(failed("move a message to", &target))?;
        sync_directory(&new)?;
        Ok(std::mem::take(&mut self.name))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Already moved after a delivery; nobody is left to be told of an error otherwise.
        let _ = fs::remove_file(&self.path);
    }
}

fn envelope_path(root: &Path, name: &str) -> PathBuf {
    root.join("envelopes").join(format!("{name}.json"))
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> Result<(), SinkError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(failed("sync", path))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    let path = path.to_owned();
    move |source| SinkError::Maildir { what, path, source }
}
