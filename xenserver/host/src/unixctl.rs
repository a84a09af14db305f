// SPDX-License-Identifier: GPL-2.0
//! The socket over which `ovs-appctl -t` commands a daemon: JSON-RPC requests with words as parameters, a text as the
//! answer. Commands are carried out by the daemon's own thread.

use serde_json::{json, Value as Json};
use std::io::{BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// A command, where its answer goes (a text, or the reason why not), and what tells that it has gone there.
pub struct Command {
    pub name: String,
    pub answer: Sender<Result<String, String>>,
    pub written: Receiver<()>,
}

/// The socket, which is removed when this is dropped.
pub struct Server {
    path: PathBuf,
}

impl Server {
    /// Listens at `path`; each command is handed to `deliver`, which says whether anybody takes it.
    pub fn listen(
        path: &Path,
        deliver: impl Fn(Command) -> bool + Send + Sync + Clone + 'static,
    ) -> std::io::Result<Server> {
        crate::host::remove_if_there(path)?;
        let listener = UnixListener::bind(path)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let deliver = deliver.clone();
                std::thread::spawn(move || serve(stream, deliver));
            }
        });
        Ok(Server { path: path.into() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(stream: UnixStream, deliver: impl Fn(Command) -> bool) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let requests = serde_json::Deserializer::from_reader(BufReader::new(stream));
    for request in requests.into_iter::<Json>() {
        let request = request.ok()?;
        let name = request["method"].as_str()?.to_string();
        let (answer, answers) = mpsc::channel();
        let (wrote, written) = mpsc::channel();
        let result = match deliver(Command {
            name,
            answer,
            written,
        }) {
            true => answers
                .recv_timeout(Duration::from_secs(10))
                .unwrap_or(Err("no answer".into())),
            false => Err("ending".into()),
        };
        let (result, error) = match result {
            Ok(text) => (json!(text), Json::Null),
            Err(text) => (Json::Null, json!(text)),
        };
        let reply = json!({"id": request["id"], "result": result, "error": error});
        writer.write_all(reply.to_string().as_bytes()).ok()?;
        // Only who is about to end waits for it.
        let _ = wrote.send(());
    }
    Some(())
}
