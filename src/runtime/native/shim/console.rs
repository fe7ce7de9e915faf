//! The standard streams of a container: what it writes goes to its log and to all who are
//! attached; what they send, it reads.
//!
//! In: pipes or a terminal, and connections. Out: records and frames.
//!
//! # Invariants
//!
//! - Who is attached gets all that is written from then on; one who does not read holds the
//!   container up, as a terminal does.
//! - A log that cannot be written does not end the container.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::model::Output;
use crate::runtime::Size;
use crate::runtime::native::channel::Channel;
use crate::runtime::native::container::Streams;
use crate::runtime::native::control::{self, Input};
use crate::runtime::native::log::writer::Writer;
use crate::runtime::native::record::{Record, Stdin};
use crate::runtime::native::root::Place;

/// How much is read at once.
const PIECE: usize = 32 * 1024;

/// The size of a terminal that nobody has told its size.
const SIZE: Size = Size { columns: 80, rows: 24 };

/// The standard streams of a container that runs.
#[derive(Debug)]
pub(super) struct Console {
    log: RefCell<Option<Writer>>,
    /// Both ends of what it writes to; one for a terminal.
    outputs: RefCell<Vec<(Output, Rc<Channel>)>>,
    input: RefCell<Option<Rc<Channel>>>,
    terminal: RefCell<Option<Rc<Channel>>>,
    clients: tokio::sync::Mutex<Vec<OwnedWriteHalf>>,
    stdin: Stdin,
    piece: RefCell<Vec<u8>>,
    /// A text to look for in what is written; `None` when it was found, or nobody looks.
    sought: RefCell<Option<Vec<u8>>>,
    found: tokio::sync::Notify,
    is_found: Cell<bool>,
}

impl Console {
    /// The streams of a container, and those that it is started with.
    pub(super) fn new(record: &Record, place: &Place) -> io::Result<(Self, Streams)> {
        let console = Self {
            log: RefCell::new(Writer::open(&place.log(), &record.log)?),
            outputs: RefCell::default(),
            input: RefCell::default(),
            terminal: RefCell::default(),
            clients: tokio::sync::Mutex::default(),
            stdin: record.stdin,
            piece: RefCell::default(),
            sought: RefCell::default(),
            found: tokio::sync::Notify::new(),
            is_found: Cell::new(false),
        };
        if record.config.process.terminal {
            return Ok((console, Streams::Terminal(SIZE)));
        }
        let (stdout, stderr) = (pipe_with(PipeFlags::CLOEXEC)?, pipe_with(PipeFlags::CLOEXEC)?);
        console.hear(Output::Stdout, stdout.0)?;
        console.hear(Output::Stderr, stderr.0)?;
        let stdin = match record.stdin {
            Stdin::Closed => std::fs::File::open("/dev/null")?.into(),
            Stdin::Open | Stdin::Once => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                console.input.replace(Some(Rc::new(Channel::new(write)?)));
                read
            }
        };
        Ok((console, Streams::Files { stdin, stdout: stdout.1, stderr: stderr.1 }))
    }

    fn hear(&self, output: Output, file: OwnedFd) -> io::Result<()> {
        self.outputs.borrow_mut().push((output, Rc::new(Channel::new(file)?)));
        Ok(())
    }

    /// The container has started with a terminal, whose other end this is.
    pub(super) fn connect_terminal(&self, terminal: OwnedFd) -> io::Result<()> {
        let channel = Rc::new(Channel::new(terminal)?);
        self.outputs.borrow_mut().push((Output::Stdout, Rc::clone(&channel)));
        if self.stdin != Stdin::Closed {
            self.input.replace(Some(Rc::clone(&channel)));
        }
        self.terminal.replace(Some(channel));
        Ok(())
    }

    /// Tells the terminal its size.
    pub(super) fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let terminal = self.terminal.borrow();
        let Some(terminal) = terminal.as_ref() else { return Ok(()) };
        let size =
            rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(terminal.as_ref(), size)?)
    }

    /// Hands on all that the container writes, until it has ended.
    pub(super) async fn run(self: &Rc<Self>) {
        let outputs = self.outputs.borrow().clone();
        let all = outputs.iter().map(|(output, channel)| self.pump(*output, channel));
        futures_util::future::join_all(all).await;
    }

    async fn pump(&self, output: Output, channel: &Channel) {
        loop {
            let Ok(mut guard) = channel.readable().await else { return };
            match self.hand_on(output, channel).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(_) => return,
            }
        }
    }

    /// Hands on one piece, if there is one.
    async fn hand_on(&self, output: Output, channel: &Channel) -> io::Result<usize> {
        let (read, frame) = {
            let mut piece = self.piece.borrow_mut();
            piece.resize(PIECE, 0);
            let read = channel.read_now(&mut piece)?;
            self.seek(&piece[..read]);
            if let Some(log) = self.log.borrow_mut().as_mut() {
                // The disk may be full: what is said then is lost, and the container goes on.
                let _ = log.write(output, &piece[..read]);
            }
            (read, control::frame(output, &piece[..read]))
        };
        if read > 0 {
            self.send(&frame).await;
        }
        Ok(read)
    }

    /// Sends a frame to all who are attached; forgets those who have gone.
    async fn send(&self, frame: &[u8]) {
        let mut clients = self.clients.lock().await;
        let mut index = 0;
        while let Some(client) = clients.get_mut(index) {
            if client.write_all(frame).await.is_ok() {
                index += 1;
            } else {
                clients.swap_remove(index);
            }
        }
    }

    /// What is left when the container has ended; then nobody is attached any more.
    pub(super) async fn finish(&self) {
        let outputs = self.outputs.take();
        for (output, channel) in &outputs {
            // A process that was left behind (`pid: host`) may hold the pipe: nobody waits for it.
            while matches!(self.hand_on(*output, channel).await, Ok(1..)) {}
        }
        self.clients.lock().await.clear();
        self.input.take();
        self.terminal.take();
    }

    /// Connects those who have waited for the start.
    pub(super) async fn admit_waiting(self: &Rc<Self>, place: &Place) {
        let directory = place.waiting();
        let Ok(entries) = std::fs::read_dir(&directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let connected = control::connect(&directory, &name).await;
            // Who no longer listens was killed.
            let _ = std::fs::remove_file(entry.path());
            if let Ok(stream) = connected {
                let is_open = name.starts_with(Input::Open.mark());
                let input = if is_open { Input::Open } else { Input::None };
                self.admit(stream, input).await;
            }
        }
    }

    /// Attaches a connection.
    pub(super) async fn admit(self: &Rc<Self>, stream: UnixStream, input: Input) {
        let (reader, writer) = stream.into_split();
        self.clients.lock().await.push(writer);
        if input == Input::Open {
            let console = Rc::clone(self);
            tokio::task::spawn_local(async move { console.take_in(reader).await });
        }
    }

    /// Hands what a client sends to the container.
    async fn take_in(&self, mut reader: OwnedReadHalf) {
        let mut buffer = vec![0; PIECE];
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            let Some(input) = self.input.borrow().clone() else { return };
            if input.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
        if self.stdin == Stdin::Once {
            if self.terminal.borrow().is_some() {
                // The end of input of a terminal is a key.
                const END: [u8; 1] = [4];
                let input = self.input.borrow().clone();
                if let Some(input) = input {
                    // It may have ended.
                    let _ = input.write_all(&END).await;
                }
            }
            self.input.take();
        }
    }

    /// Begins to look for a text in what is written.
    pub(super) fn look_for(&self, text: &str) {
        self.sought.replace(Some(text.as_bytes().to_vec()));
    }

    /// Waits until the text was written.
    pub(super) async fn text_found(&self) {
        while !self.is_found.get() {
            self.found.notified().await;
        }
    }

    /// Whether the text was written.
    pub(super) fn is_text_found(&self) -> bool {
        self.is_found.get()
    }

    fn seek(&self, piece: &[u8]) {
        let mut sought = self.sought.borrow_mut();
        let is_there =
            sought.as_ref().is_some_and(|text| memchr::memmem::find(piece, text).is_some());
        if is_there {
            sought.take();
            self.is_found.set(true);
            self.found.notify_waiters();
        }
    }
}
