//! The consent index is derived: whatever happens to it, the ledger's records decide.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use consentry::consent::index::{ConsentIndex, IndexError, IndexKey, Position, SledIndex};
use consentry::consent::standing::Fact;
use consentry::consent::{ConsentError, ConsentStore, Purpose, Standing, Status, StoreOptions};
use consentry::smtp::AddressKey;
use jiff::Timestamp;
use support::consent::{address, fact};

fn options() -> StoreOptions {
    StoreOptions { cache_bytes: 4 << 20, ..StoreOptions::default() }
}

fn open(dir: &Path) -> ConsentStore {
    ConsentStore::open(dir, options()).expect("store")
}

fn holds(store: &ConsentStore, text: &str) -> Status {
    standing(store, text).expect("standing").status
}

fn standing(store: &ConsentStore, text: &str) -> Result<Standing, ConsentError> {
    store.standing(&address(text), &Purpose::default(), Timestamp::now())
}

const PEOPLE: usize = 3000;

fn expected(n: usize) -> Status {
    if n % 2 == 1 { Status::OptedIn } else { Status::OptedOut }
}

/// Leaves a closed store in which the odd ones agreed and the even ones refused.
async fn fill(dir: &Path) {
    let facts = (0..PEOPLE).map(|n| fact(&format!("p{n}@x.example"), expected(n)));
    open(dir).record_all(facts.collect()).await.expect("recorded");
}

fn assert_filled(store: &ConsentStore) {
    for n in 0..PEOPLE {
        assert_eq!(holds(store, &format!("p{n}@x.example")), expected(n), "p{n}");
    }
    assert_eq!(holds(store, "stranger@x.example"), Status::Unknown);
}

fn set_aside(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .expect("state directory")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.to_string_lossy().contains("consent.index.damaged-"))
        .collect()
}

fn pretend_unclean_stop(dir: &Path) {
    fs::remove_file(dir.join("consent.index.closed")).expect("removed");
}

#[tokio::test]
async fn a_missing_index_is_rebuilt() {
    let dir = tempfile::tempdir().expect("directory");
    fill(dir.path()).await;
    fs::remove_dir_all(dir.path().join("consent.index")).expect("removed");
    assert_filled(&open(dir.path()));
}

#[tokio::test]
async fn an_emptied_index_directory_is_rebuilt() {
    let dir = tempfile::tempdir().expect("directory");
    fill(dir.path()).await;
    fs::remove_dir_all(dir.path().join("consent.index")).expect("removed");
    fs::create_dir(dir.path().join("consent.index")).expect("created");
    assert_filled(&open(dir.path()));
}

#[tokio::test]
async fn an_index_that_is_a_file_is_rebuilt() {
    let dir = tempfile::tempdir().expect("directory");
    fill(dir.path()).await;
    fs::remove_dir_all(dir.path().join("consent.index")).expect("removed");
    fs::write(dir.path().join("consent.index"), "not a directory").expect("written");
    assert_filled(&open(dir.path()));
}

#[tokio::test]
async fn damage_of_any_kind_ends_in_a_rebuilt_index() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, &str, Damage); 10] = [
        ("no data", "db", |bytes| bytes.clear()),
        ("half the data", "db", |bytes| bytes.truncate(bytes.len() / 2)),
        ("a third of the data", "db", |bytes| bytes.truncate(bytes.len() / 3 + 7)),
        ("zeroed data", "db", |bytes| bytes.fill(0)),
        ("garbage", "db", |bytes| scramble(bytes)),
        ("garbage in the middle", "db", |bytes| {
            let (from, to) = (bytes.len() / 4, bytes.len() / 2);
            bytes[from..to].fill(0xa5);
        }),
        ("a flipped bit every 4 KiB", "db", |bytes| {
            bytes.iter_mut().step_by(4096).for_each(|byte| *byte ^= 0x10);
        }),
        ("a third of it garbage", "db", |bytes| {
            let third = bytes.len() / 3;
            scramble(&mut bytes[third..2 * third]);
        }),
        ("no configuration", "conf", |bytes| bytes.clear()),
        ("a garbled configuration", "conf", |bytes| bytes.fill(0x7f)),
    ];
    for (name, file, damage) in damages {
        let dir = tempfile::tempdir().expect("directory");
        fill(dir.path()).await;
        let path = dir.path().join("consent.index").join(file);
        let mut bytes = fs::read(&path).expect("file");
        damage(&mut bytes);
        fs::write(&path, bytes).expect("damaged");
        let store = open(dir.path());
        println!("{name}: set aside {:?}", set_aside(dir.path()));
        assert_filled(&store);
        store.record(fact("p1@x.example", Status::OptedOut)).await.expect(name);
        assert_eq!(holds(&store, "p1@x.example"), Status::OptedOut, "{name}");
    }
}

#[tokio::test]
async fn only_the_newest_damaged_index_is_kept() {
    let dir = tempfile::tempdir().expect("directory");
    for _ in 0..2 {
        fill(dir.path()).await;
        fs::write(dir.path().join("consent.index/conf"), [0x7f; 64]).expect("damaged");
    }
    drop(open(dir.path()));
    assert_eq!(set_aside(dir.path()).len(), 1);
}

#[tokio::test]
async fn an_index_that_lags_behind_catches_up() {
    let dir = tempfile::tempdir().expect("directory");
    open(dir.path()).record(fact("first@x.example", Status::OptedIn)).await.expect("recorded");
    let (index, old) = (dir.path().join("consent.index"), dir.path().join("old"));
    copy(&index, &old);
    fill(dir.path()).await;
    fs::remove_dir_all(&index).expect("removed");
    fs::rename(&old, &index).expect("renamed");
    let store = open(dir.path());
    assert_filled(&store);
    assert_eq!(holds(&store, "first@x.example"), Status::OptedIn);
}

#[tokio::test]
async fn an_index_ahead_of_its_ledger_is_rebuilt() {
    let dir = tempfile::tempdir().expect("directory");
    fill(dir.path()).await;
    fs::remove_dir_all(dir.path().join("consent")).expect("removed");
    assert_eq!(holds(&open(dir.path()), "p1@x.example"), Status::Unknown);
}

#[tokio::test]
async fn an_index_of_another_ledger_of_the_same_length_is_rebuilt() {
    let dir = tempfile::tempdir().expect("directory");
    let other = tempfile::tempdir().expect("directory");
    open(dir.path()).record(fact("a@x.example", Status::OptedIn)).await.expect("recorded");
    open(other.path()).record(fact("a@x.example", Status::OptedOut)).await.expect("recorded");
    fs::remove_dir_all(dir.path().join("consent")).expect("removed");
    copy(&other.path().join("consent"), &dir.path().join("consent"));
    assert_eq!(holds(&open(dir.path()), "a@x.example"), Status::OptedOut);
}

#[tokio::test]
async fn an_entry_lost_in_an_unclean_stop_is_found() {
    let dir = tempfile::tempdir().expect("directory");
    open(dir.path()).record(fact("a@x.example", Status::OptedOut)).await.expect("recorded");
    edit_index(dir.path(), |db| {
        db.remove(b"a@x.example\0marketing").expect("removed").expect("it was there");
    });
    pretend_unclean_stop(dir.path());
    assert_eq!(holds(&open(dir.path()), "a@x.example"), Status::OptedOut);
}

#[tokio::test]
async fn an_entry_that_no_record_accounts_for_is_found() {
    let dir = tempfile::tempdir().expect("directory");
    open(dir.path()).record(fact("a@x.example", Status::OptedIn)).await.expect("recorded");
    edit_index(dir.path(), |db| {
        let granted = db.get(b"a@x.example\0marketing").expect("read").expect("entry");
        db.insert(b"b@x.example\0marketing", granted).expect("written");
    });
    pretend_unclean_stop(dir.path());
    assert_eq!(holds(&open(dir.path()), "b@x.example"), Status::Unknown);
}

#[tokio::test]
async fn a_changed_setting_for_tags_rebuilds_the_index() {
    let dir = tempfile::tempdir().expect("directory");
    open(dir.path()).record(fact("a+shop@x.example", Status::OptedOut)).await.expect("recorded");
    let folding = ConsentStore::open(dir.path(), StoreOptions { fold_tags: true, ..options() });
    assert_eq!(holds(&folding.expect("store"), "a@x.example"), Status::OptedOut);
    assert_eq!(holds(&open(dir.path()), "a@x.example"), Status::Unknown);
}

#[tokio::test]
async fn only_a_clean_stop_is_noted() {
    let dir = tempfile::tempdir().expect("directory");
    let note = dir.path().join("consent.index.closed");
    drop(open(dir.path()));
    assert!(note.exists());
    let store = open(dir.path());
    assert!(!note.exists());
    drop(store);
    assert!(note.exists());
}

#[tokio::test]
async fn an_entry_changed_while_the_index_was_closed_is_found() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path());
    store.record(fact("a@x.example", Status::OptedOut)).await.expect("recorded");
    store.record(fact("b@x.example", Status::OptedIn)).await.expect("recorded");
    drop(store);
    edit_index(dir.path(), |db| {
        let granted = db.get(b"b@x.example\0marketing").expect("read").expect("entry");
        db.insert(b"a@x.example\0marketing", granted).expect("written");
    });
    assert_eq!(holds(&open(dir.path()), "a@x.example"), Status::OptedOut);
}

#[tokio::test]
async fn a_ledger_line_that_is_no_record_is_not_passed_over() {
    let dir = tempfile::tempdir().expect("directory");
    fill(dir.path()).await;
    let live = dir.path().join("consent/current.jsonl");
    let text = fs::read_to_string(&live).expect("ledger");
    fs::write(&live, text.replacen("\"opted_out\"", "\"opted_???\"", 1)).expect("damaged");
    fs::remove_dir_all(dir.path().join("consent.index")).expect("removed");
    let error = ConsentStore::open(dir.path(), options()).err().expect("refused").to_string();
    assert!(error.starts_with("record 0 of the consent ledger"), "{error}");
}

/// A real index that fails when told to.
struct Failing {
    index: Box<dyn ConsentIndex>,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> Result<(), IndexError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(IndexError::Failed("disk full".to_owned()));
        }
        Ok(())
    }
}

impl ConsentIndex for Failing {
    fn lookup(&self, key: &IndexKey) -> Result<Option<Fact>, IndexError> {
        self.check().and_then(|()| self.index.lookup(key))
    }
    fn knows(&self, address: &AddressKey) -> Result<bool, IndexError> {
        self.check().and_then(|()| self.index.knows(address))
    }
    fn apply(&self, facts: &[(IndexKey, Fact)], position: &Position) -> Result<(), IndexError> {
        self.check().and_then(|()| self.index.apply(facts, position))
    }
    fn position(&self) -> Result<Option<Position>, IndexError> {
        self.check().and_then(|()| self.index.position())
    }
    fn count(&self) -> Result<u64, IndexError> {
        self.check().and_then(|()| self.index.count())
    }
    fn close(self: Box<Self>) -> Result<(), IndexError> {
        self.check().and_then(|()| self.index.close())
    }
}

fn failing(dir: &Path) -> (ConsentStore, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let open_index = move |dir: &Path| {
        let index = Failing { index: Box::new(SledIndex::open(dir, 1 << 20)?), fails: Arc::clone(&switch) };
        index.check().map(|()| Box::new(index) as Box<dyn ConsentIndex>)
    };
    (ConsentStore::open_on(dir, options(), Box::new(open_index)).expect("store"), fails)
}

/// Asks until the index is back.
async fn back(store: &ConsentStore, text: &str) -> Status {
    loop {
        match standing(store, text) {
            Ok(standing) => return standing.status,
            Err(ConsentError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_failing_look_up_is_an_error_until_the_index_is_back() {
    let dir = tempfile::tempdir().expect("directory");
    let (store, fails) = failing(dir.path());
    store.record(fact("a@x.example", Status::OptedOut)).await.expect("recorded");
    fails.store(true, Ordering::SeqCst);
    assert!(matches!(standing(&store, "a@x.example"), Err(ConsentError::Unavailable(_))));
    assert!(matches!(standing(&store, "stranger@x.example"), Err(ConsentError::Unavailable(_))));
    fails.store(false, Ordering::SeqCst);
    assert_eq!(back(&store, "a@x.example").await, Status::OptedOut);
}

#[tokio::test]
async fn a_record_that_the_index_could_not_take_decides_once_it_is_back() {
    let dir = tempfile::tempdir().expect("directory");
    let (store, fails) = failing(dir.path());
    store.record(fact("a@x.example", Status::OptedIn)).await.expect("recorded");
    fails.store(true, Ordering::SeqCst);
    store.record(fact("a@x.example", Status::OptedOut)).await.expect("durable all the same");
    assert!(standing(&store, "a@x.example").is_err(), "the old grant is no answer any more");
    assert_eq!(store.history(&address("a@x.example"), None).expect("history").len(), 2);
    fails.store(false, Ordering::SeqCst);
    assert_eq!(back(&store, "a@x.example").await, Status::OptedOut);
}

fn scramble(bytes: &mut [u8]) {
    let mut seed = 1_u32;
    for byte in bytes {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (seed >> 24) as u8;
    }
}

fn edit_index(dir: &Path, edit: impl FnOnce(&sled::Db)) {
    // A process that another test is starting may hold a copy of the lock for a moment.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let db = loop {
        match sled::open(dir.join("consent.index")) {
            Ok(db) => break db,
            Err(error) => assert!(
                error.to_string().contains("could not acquire lock") && std::time::Instant::now() < deadline,
                "{error}"
            ),
        }
        std::thread::yield_now();
    };
    edit(&db);
    db.flush().expect("flushed");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("directory") {
        let (path, target) = {
            let entry = entry.expect("entry");
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).expect("copied");
        }
    }
}
