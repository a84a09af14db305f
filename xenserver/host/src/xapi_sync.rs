// SPDX-License-Identifier: GPL-2.0
//! ovs-xapi-sync: writes into the switch's database, for controllers to read, what xapi calls the bridges, virtual
//! interfaces and machines. It waits for xapi, and for the database, for ever.

mod daemon;
mod desire;

use crate::error::Result;
use crate::host::Host;
use crate::ovsdb::{self, Change, Connection, Copy};
use crate::unixctl::{self, Command};
use crate::{failed, info, warning};
use desire::{Desire, FromXapi};
use serde_json::Value as Json;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

pub use daemon::{run, Options};

const COOKIE: &str = "/var/run/xapi_init_complete.cookie";
const RETRY: Duration = Duration::from_secs(1);

enum Event {
    Database(Json),
    /// The connection of that number ended.
    DatabaseClosed(u64),
    Command(Command),
}

struct Sync<'a> {
    host: &'a Host,
    socket: PathBuf,
    events: Receiver<Event>,
    sender: Sender<Event>,
    connection: Option<Connection>,
    generation: u64,
    /// The copy's first contents have come.
    complete: bool,
    /// The database refused something, or went: not again at once.
    pause: bool,
    /// The transaction whose answer is awaited.
    outstanding: Option<u64>,
    copy: Copy,
    desire: Desire,
    xapi: FromXapi,
    cookie_seen: bool,
    /// Said once, until it works again.
    complained: bool,
}

/// Works until told to exit. `ready` is called as soon as commands are taken.
fn serve(host: &Host, socket: PathBuf, ctl: &std::path::Path, ready: impl FnOnce()) -> Result<()> {
    let (sender, events) = mpsc::channel();
    let commands = sender.clone();
    let _ctl = unixctl::Server::listen(ctl, move |c| commands.send(Event::Command(c)).is_ok())
        .map_err(|e| failed!("cannot listen at {}: {e}", ctl.display()))?;
    ready();
    let mut sync = Sync {
        host,
        socket,
        events,
        sender,
        connection: None,
        generation: 0,
        complete: false,
        pause: false,
        outstanding: None,
        copy: Copy::default(),
        desire: Desire::default(),
        xapi: FromXapi::new(host.xapi_socket()),
        cookie_seen: false,
        complained: false,
    };
    sync.work();
    Ok(())
}

impl Sync<'_> {
    fn work(&mut self) {
        let mut again = true;
        loop {
            let event = match again {
                true => self.events.recv_timeout(RETRY),
                false => self
                    .events
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Database(message)) => self.database(&message),
                Ok(Event::DatabaseClosed(generation)) if generation == self.generation => {
                    warning!("the database closed the connection");
                    self.disconnect();
                }
                Ok(Event::DatabaseClosed(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Command(command)) => {
                    if self.command(command) {
                        return;
                    }
                }
                // We hold a sender ourselves.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            again = !self.step();
        }
    }

    /// One attempt at whatever is next. False: try again in a second.
    fn step(&mut self) -> bool {
        if !self.cookie_seen {
            self.cookie_seen = self.host.exists(COOKIE);
            if !self.cookie_seen {
                return false;
            }
            info!("xapi is up");
        }
        if std::mem::take(&mut self.pause) {
            return false;
        }
        if self.connection.is_none() {
            match self.connect() {
                Ok(()) => info!("connected to {}", self.socket.display()),
                Err(e) => {
                    self.complain(&format!(
                        "cannot reach the database at {}: {e}",
                        self.socket.display()
                    ));
                    return false;
                }
            }
        }
        if !self.complete || self.outstanding.is_some() {
            return true;
        }
        let wanted = self.desire.changes(&self.copy, &mut self.xapi);
        match &wanted.error {
            Some(e) => {
                self.xapi.forget_session();
                self.complain(&e.to_string());
            }
            None => self.complained = false,
        }
        self.transact(&wanted.changes) && !wanted.again
    }

    fn complain(&mut self, text: &str) {
        if !self.complained {
            warning!("{text}; trying again each second");
        }
        self.complained = true;
    }

    fn connect(&mut self) -> std::io::Result<()> {
        let (connection, reader) = Connection::open(&self.socket)?;
        self.generation += 1;
        let generation = self.generation;
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            let messages = serde_json::Deserializer::from_reader(reader).into_iter::<Json>();
            for message in messages.map_while(std::result::Result::ok) {
                if sender.send(Event::Database(message)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Event::DatabaseClosed(generation));
        });
        self.connection = Some(connection);
        Ok(())
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
        // What was sent may be lost, and what comes back may be another database.
        self.desire.forget();
        self.generation += 1;
        self.complete = false;
        self.pause = true;
        self.outstanding = None;
        self.copy = Copy::default();
    }

    fn database(&mut self, message: &Json) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        match message["method"].as_str() {
            Some("echo") => match connection.echo(message) {
                Ok(()) => {}
                Err(_) => self.disconnect(),
            },
            Some("update") => self.copy.update(&message["params"][1]),
            Some(_) => {}
            None if message["id"] == ovsdb::MONITOR => match message["error"].is_null() {
                true => {
                    self.copy.update(&message["result"]);
                    self.complete = true;
                }
                false => {
                    warning!("the database refuses to be watched: {}", message["error"]);
                    self.disconnect();
                }
            },
            None if message["id"].as_u64() == self.outstanding => {
                self.outstanding = None;
                match ovsdb::transaction_error(message) {
                    None => self.desire.confirm(),
                    // Most likely the row is gone; its update is on the way.
                    Some(error) => {
                        warning!("the database refused a change: {error}");
                        self.desire.refused();
                        self.pause = true;
                    }
                }
            }
            None => {}
        }
    }

    fn transact(&mut self, changes: &[Change]) -> bool {
        let (false, Some(connection)) = (changes.is_empty(), &mut self.connection) else {
            return true;
        };
        match connection.transact(changes, "ovs-xapi-sync") {
            Ok(id) => {
                self.outstanding = Some(id);
                true
            }
            Err(e) => {
                warning!("lost the database: {e}");
                self.disconnect();
                false
            }
        }
    }

    /// Carries out a command. True: it was exit.
    fn command(&mut self, command: Command) -> bool {
        let answer = match command.name.as_str() {
            "exit" => Ok(String::new()),
            "flush-cache" => {
                self.desire.forget();
                Ok(String::new())
            }
            "vlog/reopen" => match crate::log::reopen() {
                true => Ok(String::new()),
                false => Err("Logging to file not configured".into()),
            },
            "version" => Ok(format!("ovs-xapi-sync {}\n", crate::VERSION)),
            "list-commands" => {
                Ok("The available commands are:\n  exit\n  flush-cache\n  list-commands\n  version\n  vlog/reopen\n".into())
            }
            other => Err(format!("\"{other}\" is not a valid command (use \"list-commands\" to see a list of valid commands)")),
        };
        // Whoever asked may be gone.
        let _ = command.answer.send(answer);
        if command.name == "exit" {
            // The answer is another thread's to write, which would end with us.
            let _ = command.written.recv_timeout(RETRY);
            return true;
        }
        false
    }
}
