//! An outbound server that follows a script: at each step it answers well unless a rule says
//! otherwise. It keeps what it accepted and every command it heard.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A point of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Banner,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// While the message comes in.
    Message,
    /// After the final dot.
    Dot,
    Rset,
    Noop,
    Quit,
}

/// What the server does at a step instead of answering well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers this line (several lines: with `\r\n` inside).
    Reply(String),
    /// Closes the connection without a word.
    Close,
    /// Closes the connection with a TCP reset.
    Reset,
    /// Says nothing more, but keeps the connection open.
    Silence,
    /// Writes these bytes as they are. They count as an answer only when they begin as a good one does.
    Garbled(Vec<u8>),
    /// Answers well, one byte at a time.
    Drip(Duration),
    /// Answers well only when the test calls [`OutboundServer::release`].
    Wait,
}

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The argument of MAIL: `FROM:<...>` and parameters.
    pub mail: String,
    /// The reverse-path, without angle brackets.
    pub from: String,
    /// The recipients, without angle brackets.
    pub to: Vec<String>,
    /// The message, dots unstuffed.
    pub message: Vec<u8>,
}

struct Rule {
    step: Step,
    containing: String,
    behaviour: Behaviour,
    times: usize,
}

#[derive(Default)]
struct Shared {
    rules: Vec<Rule>,
    held: Vec<Held>,
    commands: Vec<String>,
    connections: usize,
    message_bytes: usize,
    tls: Option<Arc<ServerConfig>>,
    waiting: usize,
    released: usize,
    open: Vec<TcpStream>,
    stopped: bool,
}

/// The running server; it stops, and closes its connections, when dropped.
pub struct OutboundServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl OutboundServer {
    /// Starts a server that answers well to everything.
    pub fn start() -> Self {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listener"))
    }

    /// Starts on a listener of the test's own.
    pub fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut locked = lock(&for_thread);
                if locked.stopped {
                    return;
                }
                locked.connections += 1;
                locked.open.push(stream.try_clone().expect("clone"));
                drop(locked);
                let shared = Arc::clone(&for_thread);
                std::thread::spawn(move || {
                    // Whatever ends the session is what the script wanted, or the relay's right.
                    let _ = Session::new(stream, shared).and_then(|mut session| session.run());
                });
            }
        });
        Self { address, shared }
    }

    /// A server that answers well but for one step.
    pub fn with(step: Step, behaviour: Behaviour) -> Self {
        let server = Self::start();
        server.at(step, behaviour);
        server
    }

    /// Offers STARTTLS with this, and AUTH over it.
    pub fn offer_tls(&self, tls: Arc<ServerConfig>) {
        self.lock().tls = Some(tls);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, behaves so at every such step.
    pub fn at(&self, step: Step, behaviour: Behaviour) {
        self.rule(step, "", behaviour, usize::MAX);
    }

    /// Behaves so at such a step whose command holds `containing`, at most `times` times. The newest
    /// rule that fits wins.
    pub fn rule(&self, step: Step, containing: &str, behaviour: Behaviour, times: usize) {
        let rule = Rule { step, containing: containing.to_owned(), behaviour, times };
        self.lock().rules.insert(0, rule);
    }

    /// Answers well from now on.
    pub fn behave(&self) {
        self.lock().rules.clear();
    }

    /// Lets one step go on that stands at [`Behaviour::Wait`].
    pub fn release(&self) {
        self.lock().released += 1;
    }

    /// How many steps have come to [`Behaviour::Wait`] so far.
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// What was accepted so far.
    pub fn held(&self) -> Vec<Held> {
        self.lock().held.clone()
    }

    /// Every command heard so far.
    pub fn commands(&self) -> Vec<String> {
        self.lock().commands.clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// Bytes of message text that came in so far, accepted or not.
    pub fn message_bytes(&self) -> usize {
        self.lock().message_bytes
    }

    /// Closes every open connection, as a server does that is restarted.
    pub fn hang_up(&self) {
        for stream in self.lock().open.drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Drop for OutboundServer {
    fn drop(&mut self) {
        self.lock().stopped = true;
        self.hang_up();
        // The accepting thread looks at `stopped` when the next connection comes.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

struct Session {
    wire: Wire,
    unread: Vec<u8>,
    shared: Arc<Mutex<Shared>>,
    mail: String,
    to: Vec<String>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Mutex<Shared>>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            wire: Wire::Plain(stream),
            unread: Vec::new(),
            shared,
            mail: String::new(),
            to: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        self.step(Step::Banner, "", "220 outbound.example ESMTP")?;
        while let Some(line) = self.line()? {
            let command = String::from_utf8_lossy(&line).trim_end().to_owned();
            lock(&self.shared).commands.push(command.clone());
            let verb = command.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" => {
                    let more = match &self.wire {
                        Wire::Tls(_) => "250-AUTH PLAIN LOGIN\r\n",
                        Wire::Plain(_) if lock(&self.shared).tls.is_some() => "250-STARTTLS\r\n",
                        Wire::Plain(_) => "",
                    };
                    let features = format!(
                        "250-outbound.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n\
                         250-SMTPUTF8\r\n{more}250 ENHANCEDSTATUSCODES"
                    );
                    self.step(Step::Ehlo, &command, &features)?;
                }
                "STARTTLS" => {
                    if self.step(Step::StartTls, &command, "220 2.0.0 go on")? {
                        self.encrypt()?;
                    }
                }
                "AUTH" => {
                    self.step(Step::Auth, &command, "235 2.7.0 welcome")?;
                }
                "MAIL" => {
                    if self.step(Step::Mail, &command, "250 2.1.0 sender ok")? {
                        self.mail = command[5..].to_owned();
                        self.to.clear();
                    }
                }
                "RCPT" => {
                    if self.step(Step::Rcpt, &command, "250 2.1.5 recipient ok")? {
                        self.to.push(path(&command));
                    }
                }
                "DATA" => self.data(&command)?,
                "RSET" => {
                    self.mail.clear();
                    self.to.clear();
                    self.step(Step::Rset, &command, "250 2.0.0 reset")?;
                }
                "NOOP" => {
                    self.step(Step::Noop, &command, "250 2.0.0 ok")?;
                }
                "QUIT" => {
                    self.step(Step::Quit, &command, "221 2.0.0 bye")?;
                    return Ok(());
                }
                _ => self.say("500 5.5.2 what?")?,
            }
        }
        Ok(())
    }

    fn data(&mut self, command: &str) -> io::Result<()> {
        if self.to.is_empty() {
            return self.say("503 5.5.1 no recipients");
        }
        if !self.step(Step::Data, command, "354 go ahead")? {
            return Ok(());
        }
        let mut message = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok(()) };
            lock(&self.shared).message_bytes += line.len();
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            if let Some(behaviour) = self.behaviour(Step::Message, "") {
                self.misbehave(behaviour, "")?;
            }
        }
        let (mail, to) = (std::mem::take(&mut self.mail), std::mem::take(&mut self.to));
        let held = Held { from: path(&mail), mail, to, message };
        let mut behaviour = self.behaviour(Step::Dot, &format!("{} {}", held.from, held.to.join(" ")));
        if behaviour == Some(Behaviour::Wait) {
            self.wait_for_release()?;
            behaviour = None;
        }
        // Kept before the answer is written: a mailer that has heard 250 must find it here.
        let accepts = match &behaviour {
            None | Some(Behaviour::Drip(_)) => true,
            Some(Behaviour::Reply(reply)) => reply.starts_with('2'),
            Some(Behaviour::Garbled(bytes)) => bytes.starts_with(b"250 "),
            Some(_) => false,
        };
        if accepts {
            lock(&self.shared).held.push(held);
        }
        let good = "250 2.0.0 kept as outbound-1";
        match behaviour {
            None => self.say(good),
            Some(behaviour) => self.misbehave(behaviour, good).map(|_| ()),
        }
    }

    /// Answers `good`, or does what the script says; true when the answer was 2xx or 3xx.
    fn step(&mut self, step: Step, context: &str, good: &str) -> io::Result<bool> {
        match self.behaviour(step, context) {
            None => {
                self.say(good)?;
                Ok(true)
            }
            Some(behaviour) => self.misbehave(behaviour, good),
        }
    }

    fn behaviour(&self, step: Step, context: &str) -> Option<Behaviour> {
        let mut locked = lock(&self.shared);
        let fits =
            |rule: &&mut Rule| rule.step == step && rule.times > 0 && context.contains(&rule.containing);
        let rule = locked.rules.iter_mut().find(fits)?;
        if rule.times != usize::MAX {
            rule.times -= 1;
        }
        Some(rule.behaviour.clone())
    }

    fn misbehave(&mut self, behaviour: Behaviour, good: &str) -> io::Result<bool> {
        match behaviour {
            Behaviour::Reply(reply) => {
                self.say(&reply)?;
                Ok(reply.starts_with(['2', '3']))
            }
            Behaviour::Close => {
                self.wire.tcp().shutdown(std::net::Shutdown::Both)?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Behaviour::Reset => {
                // The last handle of the socket is closed with the session, which then sends the reset.
                let tcp = self.wire.tcp();
                socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO))?;
                let peer = tcp.peer_addr()?;
                lock(&self.shared).open.retain(|stream| stream.peer_addr().ok() != Some(peer));
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Behaviour::Silence => {
                // Ends when the relay gives up and closes, or the server is dropped.
                while self.line()?.is_some() {}
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Behaviour::Garbled(bytes) => {
                self.wire.write_all(&bytes)?;
                self.wire.flush()?;
                Ok(matches!(bytes[..], [b'2' | b'3', _, _, b' ', ..]))
            }
            Behaviour::Drip(pause) => {
                for byte in format!("{good}\r\n").bytes() {
                    self.wire.write_all(&[byte])?;
                    self.wire.flush()?;
                    std::thread::park_timeout(pause);
                }
                Ok(true)
            }
            Behaviour::Wait => {
                self.wait_for_release()?;
                self.say(good)?;
                Ok(true)
            }
        }
    }

    fn wait_for_release(&self) -> io::Result<()> {
        let turn = {
            let mut locked = lock(&self.shared);
            locked.waiting += 1;
            locked.waiting
        };
        loop {
            let (stopped, released) = {
                let locked = lock(&self.shared);
                (locked.stopped, locked.released)
            };
            if stopped {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if released >= turn {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// The TLS handshake, as a server does it that reads nothing ahead.
    fn encrypt(&mut self) -> io::Result<()> {
        let tls = lock(&self.shared).tls.clone().ok_or(io::ErrorKind::Unsupported)?;
        let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
        let tcp = self.wire.tcp().try_clone()?;
        self.unread.clear();
        self.wire = Wire::Tls(Box::new(StreamOwned::new(connection, tcp)));
        Ok(())
    }

    fn say(&mut self, reply: &str) -> io::Result<()> {
        self.wire.write_all(format!("{reply}\r\n").as_bytes())?;
        self.wire.flush()
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.unread, rest)));
            }
            let mut piece = [0; 65536];
            let read = self.wire.read(&mut piece)?;
            if read == 0 {
                let rest = std::mem::take(&mut self.unread);
                return Ok((!rest.is_empty()).then_some(rest));
            }
            self.unread.extend_from_slice(&piece[..read]);
        }
    }
}

/// What stands between the outermost angle brackets.
fn path(command: &str) -> String {
    let start = command.find('<').map_or(0, |at| at + 1);
    let end = command.rfind('>').unwrap_or(command.len());
    command.get(start..end).unwrap_or_default().to_owned()
}
