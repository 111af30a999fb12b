//! Where the demo's files are: a directory of its own that goes with it, or the one to keep.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::scenario;

/// The directory of one run.
pub struct Place {
    path: PathBuf,
    keep: bool,
}

/// Why there is no place for the demo's files.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The directory to keep is in use.
    #[error("{} is not empty: name a new or an empty directory for --keep", .0.display())]
    NotEmpty(PathBuf),
    /// A file or directory cannot be made.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

const CONFIG: &str = "\
# Left here by `consentry demo`. To go on with it, in this directory:
#
#   consentry run --sink delivered          a relay on 127.0.0.1:2525 that delivers into ./delivered
#   consentry audit tail                    what was decided, and why
#   consentry consent get daniel@price.example
#   consentry check messages/*.eml
#
# For real mail, say where it goes instead of using --sink:
#
#   [[outbound]]
#   address = \"127.0.0.1:25\"
#   tls = \"none\"

state_dir = \"state\"

[[listener]]
address = \"127.0.0.1:2525\"
";

impl Place {
    /// Makes the directory and writes the configuration and the samples into it.
    pub fn make(keep: Option<PathBuf>) -> Result<Self, PlaceError> {
        let place = match keep {
            Some(path) => {
                make_directory(&path, true)?;
                let mut entries = fs::read_dir(&path).map_err(failed(&path))?;
                if entries.next().is_some() {
                    return Err(PlaceError::NotEmpty(path));
                }
                Self { path, keep: true }
            }
            None => {
                let name = format!("consentry-demo-{}", ulid::Ulid::generate());
                let path = std::env::temp_dir().join(name);
                make_directory(&path, false)?;
                Self { path, keep: false }
            }
        };
        write(&place.config_file(), CONFIG.as_bytes())?;
        write(&place.path.join("consents.csv"), scenario::CONSENTS.as_bytes())?;
        let messages = place.path.join("messages");
        make_directory(&messages, false)?;
        for sending in scenario::SENDINGS {
            write(&messages.join(format!("{}.eml", sending.name)), sending.message)?;
        }
        Ok(place)
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("consentry.toml")
    }

    /// The Maildir with what was delivered.
    pub fn delivered(&self) -> PathBuf {
        self.path.join("delivered")
    }

    /// The directory, when it stays.
    pub fn kept(&self) -> Option<&Path> {
        self.keep.then_some(&self.path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("consentry: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// What the user may do with the directory that was kept.
pub fn what_next(path: &Path) -> String {
    let path = path.display();
    format!(
        "Kept in {path}: consentry.toml, consents.csv, messages/, state/ (ledgers, consents, mode), delivered/ (a Maildir).\n\
         Go on with: consentry run --config {path}/consentry.toml --sink {path}/delivered"
    )
}

/// For nobody else to read: consents and mail are in it.
fn make_directory(path: &Path, may_exist: bool) -> Result<(), PlaceError> {
    DirBuilder::new().mode(0o700).recursive(may_exist).create(path).map_err(failed(path))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PlaceError> {
    fs::write(path, bytes).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_its_own_goes_with_it_and_a_kept_one_stays() {
        let own = Place::make(None).expect("place");
        let path = own.path.clone();
        assert!(path.join("messages/01-order-receipt.eml").exists() && own.kept().is_none());
        drop(own);
        assert!(!path.exists());

        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("new");
        drop(Place::make(Some(path.clone())).expect("place"));
        assert!(path.join("consentry.toml").exists());
        assert!(matches!(Place::make(Some(path)), Err(PlaceError::NotEmpty(_))));
    }

    #[test]
    fn the_configuration_is_one() {
        let config = crate::config::parse(CONFIG, Path::new("/demo/consentry.toml")).expect("configuration");
        assert_eq!(config.state_dir, Path::new("/demo/state"));
        assert!(config.outbound.is_empty() && config.listener.len() == 1);
    }
}
