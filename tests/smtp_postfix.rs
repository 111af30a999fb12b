//! Real parts: swaks and Python's smtplib as mailers, consentry, and Postfix as outbound server,
//! delivering into mailboxes. Needs root, Postfix, swaks and python3; skipped without them unless
//! `CONSENTRY_CI` is set, where their lack is a failure.

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Setup, demo_message, wait_for};

const FROM: &str = "service@harbourcard.example";
const AGREED: &str = "amina@hussain.example";
const REFUSED: &str = "daniel@price.example";

/// Every demo message; the promotional ones come second.
const SERVICE: [&str; 6] = [
    "01-order-receipt",
    "02-login-code",
    "03-statement-ready",
    "04-planned-outage",
    "05-kode-otp",
    "06-tagihan-listrik",
];
const PROMOTIONAL: [&str; 4] =
    ["07-spring-newsletter", "08-statement-spend-and-get", "09-offers-loaded", "12-e-statement-penawaran"];

/// Postfix with a configuration, a queue and mailboxes of its own.
struct Postfix {
    dir: tempfile::TempDir,
    address: SocketAddr,
}

impl Postfix {
    fn start() -> Self {
        // Postfix's own user must get through to its directories.
        let dir = tempfile::Builder::new()
            .prefix("consentry-postfix-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("directory");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("address");
        drop(listener);
        let (user, group) = (id("-u"), id("-g"));
        for name in ["config", "queue", "data", "mail"] {
            std::fs::create_dir(dir.path().join(name)).expect("directory");
        }
        for name in ["data", "mail"] {
            std::os::unix::fs::chown(dir.path().join(name), Some(user), Some(group)).expect("owner");
        }
        let root = dir.path().display();
        let main = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {root}/queue\n\
             data_directory = {root}/data\n\
             maillog_file = {root}/data/log\n\
             maillog_file_prefixes = {root}\n\
             myhostname = outbound.example\n\
             mydestination =\n\
             alias_maps =\n\
             alias_database =\n\
             inet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\n\
             mynetworks = 127.0.0.0/8\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\n\
             local_header_rewrite_clients =\n\
             virtual_mailbox_domains = static:all\n\
             virtual_mailbox_maps = static:box/\n\
             virtual_mailbox_base = {root}/mail\n\
             virtual_uid_maps = static:{user}\n\
             virtual_gid_maps = static:{group}\n\
             virtual_minimum_uid = 1\n"
        );
        let master = format!(
            "{address} inet n - n - - smtpd\n\
             cleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\n\
             rewrite unix - - n - - trivial-rewrite\n\
             bounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\n\
             proxymap unix - - n - - proxymap\n\
             anvil unix - - n - 1 anvil\n\
             error unix - - n - - error\n\
             retry unix - - n - - error\n\
             virtual unix - n n - - virtual\n\
             postlog unix-dgram n - n - 1 postlogd\n"
        );
        std::fs::write(dir.path().join("config/main.cf"), main).expect("main.cf");
        std::fs::write(dir.path().join("config/master.cf"), master).expect("master.cf");
        let postfix = Self { dir, address };
        let output = postfix.control("start");
        assert!(output.status.success(), "postfix start: {output:?}\n{}", postfix.log());
        postfix
    }

    fn control(&self, command: &str) -> Output {
        Command::new("postfix")
            .arg("-c")
            .arg(self.dir.path().join("config"))
            .arg(command)
            .output()
            .expect("postfix")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("data/log")).unwrap_or_default()
    }

    /// The files in the mailbox, once there are at least `count`.
    fn mailbox(&self, count: usize) -> Vec<Vec<u8>> {
        let new = self.dir.path().join("mail/box/new");
        wait_for(&format!("{count} messages in Postfix's mailbox"), || {
            let mut files: Vec<PathBuf> = std::fs::read_dir(&new)
                .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default();
            files.sort();
            (files.len() >= count)
                .then(|| files.iter().map(|path| std::fs::read(path).expect("message")).collect())
        })
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let output = self.control("stop");
        if !output.status.success() {
            eprintln!("postfix stop: {output:?}");
        }
    }
}

fn id(flag: &str) -> u32 {
    let output = Command::new("id").args([flag, "postfix"]).output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// Whether all that is needed is here; says what is not.
fn ready() -> bool {
    let missing: Vec<&str> = [("postfix", "Postfix"), ("swaks", "swaks"), ("python3", "Python")]
        .iter()
        .filter(|(program, _)| {
            !["/usr/sbin", "/usr/bin", "/usr/local/bin"]
                .iter()
                .any(|dir| Path::new(dir).join(program).exists())
        })
        .map(|(_, name)| *name)
        .collect();
    let why = match missing.as_slice() {
        [] if rustix::process::geteuid().is_root() => return true,
        [] => "Postfix can only be started by root".to_owned(),
        names => format!("{} is not installed", names.join(" and ")),
    };
    assert!(std::env::var_os("CONSENTRY_CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// A mailer: sends the message to the recipient and says whether it was taken, and what was heard.
type MailerProgram = fn(address: SocketAddr, to: &str, message: &Path) -> (bool, String);

fn swaks(address: SocketAddr, to: &str, message: &Path) -> (bool, String) {
    // swaks ends what it sends with a line end of its own.
    let text = std::fs::read(message).expect("message");
    let without = message.with_extension("swaks");
    std::fs::write(&without, text.strip_suffix(b"\r\n").unwrap_or(&text)).expect("write");
    let output = Command::new("swaks")
        .args([
            "--server",
            &address.to_string(),
            "--helo",
            "mailer.example",
            "--from",
            FROM,
            "--to",
            to,
            "--data",
        ])
        .arg(format!("@{}", without.display()))
        .output()
        .expect("swaks");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn smtplib(address: SocketAddr, to: &str, message: &Path) -> (bool, String) {
    let script = "import smtplib, sys\n\
                  host, port, sender, to, path = sys.argv[1:]\n\
                  with smtplib.SMTP(host, int(port), local_hostname='mailer.example') as mailer:\n    \
                      mailer.sendmail(sender, [to], open(path, 'rb').read(), mail_options=['BODY=8BITMIME'])\n";
    let output = Command::new("python3")
        .args(["-c", script, &address.ip().to_string(), &address.port().to_string(), FROM, to])
        .arg(message)
        .output()
        .expect("python3");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Postfix keeps messages with the line ends of the system.
fn as_kept(message: &[u8]) -> Vec<u8> {
    String::from_utf8(message.to_vec()).expect("UTF-8").replace("\r\n", "\n").into_bytes()
}

fn whole_trip(send: MailerProgram) {
    if !ready() {
        return;
    }
    let postfix = Postfix::start();
    let relay =
        Setup::before(postfix.address).consent(AGREED, "opted_in").consent(REFUSED, "opted_out").start();
    let file = |name: &str| {
        let path = relay.dir().join(format!("{name}.eml"));
        std::fs::write(&path, demo_message(name)).expect("message");
        path
    };

    // Everything passes in monitor mode.
    let mut expected = Vec::new();
    for name in SERVICE.iter().chain(&PROMOTIONAL) {
        let (taken, heard) = send(relay.address(), REFUSED, &file(name));
        assert!(taken, "{name} in monitor mode: {heard}\n{}", postfix.log());
        expected.push(*name);
    }
    // Enforced, only service mail and mail to those who agreed.
    relay.command(&["mode", "enforce", "--reason", "the test wants it"]);
    for name in SERVICE {
        let (taken, heard) = send(relay.address(), REFUSED, &file(name));
        assert!(taken, "{name}: {heard}\n{}", postfix.log());
        expected.push(name);
    }
    for name in PROMOTIONAL {
        let (taken, heard) = send(relay.address(), REFUSED, &file(name));
        assert!(!taken && heard.contains("550") && heard.contains("5.7.1"), "{name}: {heard}");
        let (taken, heard) = send(relay.address(), AGREED, &file(name));
        assert!(taken, "{name}: {heard}");
        expected.push(name);
    }

    let mailbox = postfix.mailbox(expected.len());
    assert_eq!(mailbox.len(), expected.len(), "{}", postfix.log());
    for name in SERVICE.iter().chain(&PROMOTIONAL) {
        let bytes = as_kept(&demo_message(name));
        let kept = mailbox.iter().filter(|message| message.ends_with(&bytes)).count();
        let wanted = expected.iter().filter(|one| *one == name).count();
        assert_eq!(kept, wanted, "{name}: whole in Postfix's mailbox {kept} times");
        let refused = mailbox
            .iter()
            .filter(|message| {
                message.ends_with(&bytes)
                    && String::from_utf8_lossy(message).contains(&format!("Delivered-To: {REFUSED}"))
            })
            .count();
        let promotional = PROMOTIONAL.contains(name);
        assert_eq!(refused, if promotional { 1 } else { 2 }, "{name} to one who refused");
    }
    for message in &mailbox {
        let text = String::from_utf8_lossy(message);
        assert_eq!(
            text.matches("\n\tby relay.example").count() + text.matches(" by relay.example").count(),
            1,
            "{text}"
        );
    }
}

#[test]
fn swaks_to_postfix() {
    whole_trip(swaks);
}

#[test]
fn smtplib_to_postfix() {
    whole_trip(smtplib);
}
