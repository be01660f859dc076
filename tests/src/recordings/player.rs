//! A provider on this machine that answers as it once did.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Recording;

/// Fields that belong to the connection, or are made anew (RFC 9110, 7.6.1).
const NOT_REPLAYED: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The provider. The first segment of a request's path names the stage: which recording is on it is told beforehand.
#[derive(Clone)]
pub struct Player {
    address: SocketAddr,
    stages: Arc<Mutex<HashMap<String, Stage>>>,
}

/// The answer to a request.
type Answering = Arc<dyn Fn(&Sent) -> Arc<Recording> + Send + Sync>;

struct Stage {
    answer: Answering,
    /// Bytes of each piece of the body; none for the whole in one.
    piece: Option<usize>,
    /// What comes after the body, and up to how many bytes of it.
    more: Option<(Vec<u8>, u64)>,
    sent: Vec<Sent>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its method.
    pub method: String,
    /// Its path and query, without the stage.
    pub target: String,
    /// Its header fields, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Sent {
    /// The value of the first header field of that name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Player {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> anyhow::Result<Player> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let player = Player {
            address: listener.local_addr()?,
            stages: Arc::default(),
        };
        let serving = player.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let player = serving.clone();
                // A client that leaves in the middle is no matter of the player's.
                tokio::spawn(async move { player.answer(client).await.ok() });
            }
        });
        Ok(player)
    }

    /// Where a stage is.
    pub fn url(&self, stage: &str) -> String {
        format!("http://{}/{stage}", self.address)
    }

    /// Puts a recording on a stage, its body to come in pieces of so many bytes. Requests of another method than the
    /// recorded one, which look whether there is what that one makes, are told that there is not.
    pub fn play(&self, stage: &str, answer: Arc<Recording>, piece: Option<usize>) {
        self.answer_with(
            stage,
            Arc::new(move |sent| {
                if answer.method.is_empty() || sent.method == answer.method {
                    answer.clone()
                } else {
                    Arc::new(absent())
                }
            }),
            piece,
        );
    }

    /// Puts what answers each request in its own way on a stage.
    pub fn answer_with(&self, stage: &str, answer: Answering, piece: Option<usize>) {
        let stages = &mut *self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = Vec::new();
        let more = None;
        stages.insert(
            stage.to_owned(),
            Stage {
                answer,
                piece,
                more,
                sent,
            },
        );
    }

    /// Has the body of each answer of a stage go on with these bytes, again and again, to a length that is not told
    /// beforehand. One that is beyond all limits is endless.
    pub fn go_on_with(&self, stage: &str, again: &[u8], bytes: u64) {
        let stages = &mut *self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = stages.get_mut(stage) {
            stage.more = Some((again.to_vec(), bytes));
            stage.piece = Some(PIECE);
        }
    }

    /// What was sent to a stage since its recording was put on it.
    pub fn sent(&self, stage: &str) -> Vec<Sent> {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.get(stage).map(|stage| stage.sent.clone()).unwrap_or_default()
    }

    async fn answer(&self, mut client: TcpStream) -> anyhow::Result<()> {
        let mut sent = receive(&mut client).await?;
        let (stage, rest) = sent.target.trim_start_matches('/').split_once('/').unwrap_or_default();
        let stage = stage.to_owned();
        sent.target = format!("/{rest}");
        let (answer, piece, more) = {
            let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
            let stage = stages.get_mut(&stage).context("no such stage")?;
            let answer = (stage.answer)(&sent);
            stage.sent.push(sent);
            (answer, stage.piece, stage.more.clone())
        };
        client.write_all(&head(&answer, piece)).await?;
        match piece {
            None => client.write_all(&answer.body).await?,
            Some(size) => {
                for piece in answer.body.chunks(size) {
                    client.write_all(&chunk(piece)).await?;
                }
                if let Some((again, bytes)) = more {
                    let piece = chunk(&again.repeat(PIECE.div_ceil(again.len())));
                    for _ in 0..bytes / PIECE as u64 {
                        client.write_all(&piece).await?;
                    }
                }
                client.write_all(b"0\r\n\r\n").await?;
            }
        }
        client.shutdown().await?;
        Ok(())
    }
}

/// Bytes of a piece of a long body.
const PIECE: usize = 64 * 1024;

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

/// That there is nothing.
fn absent() -> Recording {
    Recording::of_json(404, r#"{"status": {"error": "not there"}}"#)
}

fn head(answer: &Recording, piece: Option<usize>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Replayed\r\nconnection: close\r\n", answer.status);
    match piece {
        None => head.push_str(&format!("content-length: {}\r\n", answer.body.len())),
        Some(_) => head.push_str("transfer-encoding: chunked\r\n"),
    }
    for (name, value) in &answer.headers {
        if !NOT_REPLAYED.contains(&name.to_ascii_lowercase().as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Reads a request of HTTP/1.1 whose body has a length.
pub(crate) async fn receive(client: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Sent> {
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|end| end == b"\r\n\r\n") {
            break end;
        }
        anyhow::ensure!(
            client.read_buf(&mut received).await? > 0,
            "the request ended in its head"
        );
    };
    let head = String::from_utf8_lossy(received.get(..end).unwrap_or_default()).into_owned();
    let mut lines = head.lines();
    let mut line = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut sent = Sent {
        method: line.next().unwrap_or_default(),
        target: line.next().unwrap_or_default(),
        headers,
        body: received.split_off(end + 4),
    };
    let length: usize = sent
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while sent.body.len() < length {
        anyhow::ensure!(
            client.read_buf(&mut sent.body).await? > 0,
            "the request ended in its body"
        );
    }
    Ok(sent)
}
