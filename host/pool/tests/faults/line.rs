//! The peer's end of a connection, in whatever way it talks, with every means to end it well or badly.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::frames::{self, *};

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A request that has arrived.
#[derive(Debug)]
pub struct Asked {
    /// Over HTTP/1.1 always 0.
    pub stream: u32,
    pub body: Vec<u8>,
}

/// What arrives.
enum Arrival {
    /// The head of a request; its body may still be on its way.
    Head(u32),
    Whole(Asked),
}

pub struct Line {
    wire: Wire,
    http2: bool,
    /// Which of the peer's connections this is, from 0.
    pub number: usize,
    buffer: BytesMut,
    greeted: bool,
    introduced: bool,
    /// Requests whose body has not ended; over HTTP/1.1 with its length.
    arriving: BTreeMap<u32, (usize, Vec<u8>)>,
    arrived: VecDeque<Asked>,
}

impl Line {
    pub fn new(wire: Wire, http2: bool, number: usize) -> Self {
        Self {
            wire,
            http2,
            number,
            buffer: BytesMut::new(),
            greeted: false,
            introduced: false,
            arriving: BTreeMap::new(),
            arrived: VecDeque::new(),
        }
    }

    fn stream(&mut self) -> &mut dyn Duplex {
        match &mut self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => tls.as_mut(),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream().write_all(bytes).await?;
        self.stream().flush().await
    }

    /// Sends the settings of HTTP/2 that come first. Without a call, the first read sends none in particular.
    pub async fn greet(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        self.greeted = true;
        if self.http2 {
            self.write(&frames::settings(settings)).await?;
        }
        Ok(())
    }

    /// The next request that has arrived wholly; `None` when the other side has ended the connection.
    pub async fn asked(&mut self) -> io::Result<Option<Asked>> {
        while let Some(arrival) = self.arrival().await? {
            if let Arrival::Whole(asked) = arrival {
                return Ok(Some(asked));
            }
        }
        Ok(None)
    }

    /// The stream of the next request whose head has arrived, its body left where it is.
    pub async fn head(&mut self) -> io::Result<Option<u32>> {
        while let Some(arrival) = self.arrival().await? {
            if let Arrival::Head(stream) = arrival {
                return Ok(Some(stream));
            }
        }
        Ok(None)
    }

    /// The first `length` bytes of the next request's body, the rest left where it is. The only request under way.
    pub async fn beginning(&mut self, length: usize) -> io::Result<Option<Vec<u8>>> {
        if self.head().await?.is_none() {
            return Ok(None);
        }
        if !self.http2 {
            let there = self.has(length).await?;
            return Ok(there.then(|| self.buffer[..length].to_vec()));
        }
        while let Some((kind, _, _, payload)) = self.frame().await? {
            if kind == DATA {
                return Ok(Some(payload[..length].to_vec()));
            }
        }
        Ok(None)
    }

    async fn arrival(&mut self) -> io::Result<Option<Arrival>> {
        if let Some(asked) = self.arrived.pop_front() {
            return Ok(Some(Arrival::Whole(asked)));
        }
        if self.http2 {
            self.http2_arrival().await
        } else {
            self.http1_arrival().await
        }
    }

    async fn http1_arrival(&mut self) -> io::Result<Option<Arrival>> {
        if let Some((length, _)) = self.arriving.remove(&0) {
            while self.buffer.len() < length {
                if self.fill().await? == 0 {
                    return Ok(None);
                }
            }
            let body = self.buffer.split_to(length).to_vec();
            return Ok(Some(Arrival::Whole(Asked { stream: 0, body })));
        }
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer.split_to(end + 4).to_vec()).unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                self.arriving.insert(0, (length, Vec::new()));
                return Ok(Some(Arrival::Head(0)));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn http2_arrival(&mut self) -> io::Result<Option<Arrival>> {
        while let Some((kind, flags, stream, payload)) = self.frame().await? {
            let ends = flags & END_STREAM != 0;
            match kind {
                HEADERS => {
                    if ends {
                        self.arrived.push_back(Asked {
                            stream,
                            body: Vec::new(),
                        });
                    } else {
                        self.arriving.insert(stream, (0, Vec::new()));
                    }
                    return Ok(Some(Arrival::Head(stream)));
                }
                DATA => {
                    if let (1.., Ok(read)) = (payload.len(), u32::try_from(payload.len())) {
                        self.write(&window_update(0, read)).await?;
                        if !ends {
                            self.write(&window_update(stream, read)).await?;
                        }
                    }
                    if let Some((_, body)) = self.arriving.get_mut(&stream) {
                        body.extend(payload);
                    }
                    if ends && let Some((_, body)) = self.arriving.remove(&stream) {
                        return Ok(Some(Arrival::Whole(Asked { stream, body })));
                    }
                }
                RST_STREAM => drop(self.arriving.remove(&stream)),
                SETTINGS if flags & ACK == 0 => self.write(&frame(SETTINGS, ACK, 0, &[])).await?,
                PING if flags & ACK == 0 => self.write(&frame(PING, ACK, 0, &payload)).await?,
                GOAWAY => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    async fn frame(&mut self) -> io::Result<Option<(u8, u8, u32, Vec<u8>)>> {
        if !self.greeted {
            self.greet(&[]).await?;
        }
        if !self.introduced {
            if !self.has(PREFACE).await? {
                return Ok(None);
            }
            let _preface = self.buffer.split_to(PREFACE);
            self.introduced = true;
        }
        if !self.has(9).await? {
            return Ok(None);
        }
        let length = u32::from_be_bytes([0, self.buffer[0], self.buffer[1], self.buffer[2]]) as usize;
        if !self.has(9 + length).await? {
            return Ok(None);
        }
        let head = self.buffer.split_to(9);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Ok(Some((head[3], head[4], stream, self.buffer.split_to(length).to_vec())))
    }

    /// Reads until this much is there; `false` if the connection ends before.
    async fn has(&mut self, length: usize) -> io::Result<bool> {
        while self.buffer.len() < length {
            if self.fill().await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn fill(&mut self) -> io::Result<usize> {
        match &mut self.wire {
            Wire::Plain(tcp) => tcp.read_buf(&mut self.buffer).await,
            Wire::Tls(tls) => tls.read_buf(&mut self.buffer).await,
        }
    }

    /// An answer with this body, and how much of it is head.
    pub fn answer(&self, stream: u32, body: &[u8]) -> (Vec<u8>, usize) {
        answer(self.http2, stream, body)
    }

    /// A part of a body.
    pub fn piece(&self, stream: u32, bytes: &[u8]) -> Vec<u8> {
        match self.http2 {
            true => data(stream, bytes, 0),
            false => bytes.to_vec(),
        }
    }

    /// Answers every request with its own body, as a good server does, until the other side ends the connection.
    pub async fn echo(mut self) -> io::Result<()> {
        while let Some(asked) = self.asked().await? {
            self.reply(&asked).await?;
        }
        Ok(())
    }

    /// Answers one request with its own body.
    pub async fn reply(&mut self, asked: &Asked) -> io::Result<()> {
        let body = if asked.body.len() < 1024 { &asked.body[..] } else { b"" };
        let (answer, _) = self.answer(asked.stream, body);
        self.write(&answer).await
    }

    /// Reads whatever comes, and says nothing, until the other side ends the connection.
    pub async fn listen(mut self) -> io::Result<()> {
        while self.fill().await? > 0 {
            self.buffer.clear();
        }
        Ok(())
    }

    /// Ends its own direction properly: TLS says so, and TCP sends a FIN.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.stream().shutdown().await
    }

    /// Closes with a TCP reset.
    pub fn reset(self) -> io::Result<()> {
        match &self.wire {
            Wire::Plain(tcp) => tcp.set_zero_linger(),
            Wire::Tls(tls) => tls.get_ref().0.set_zero_linger(),
        }
    }
}

/// An answer with this body, and how much of it is head.
pub fn answer(http2: bool, stream: u32, body: &[u8]) -> (Vec<u8>, usize) {
    let length = body.len().to_string();
    let (mut answer, body) = if http2 {
        let block = [&[STATUS_200][..], &literal("content-length", &length)].concat();
        (headers(stream, &block, 0), data(stream, body, END_STREAM))
    } else {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        (head.into_bytes(), body.to_vec())
    };
    let in_head = answer.len();
    answer.extend(body);
    (answer, in_head)
}

/// How a server lets go of a connection.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// With a FIN; under TLS, after saying so.
    Finish,
    /// With a FIN and, under TLS, no word.
    Unannounced,
    Reset,
    /// With a FIN, while it goes on reading.
    HalfClose,
}

impl End {
    pub const ALL: [Self; 4] = [Self::Finish, Self::Unannounced, Self::Reset, Self::HalfClose];

    pub async fn befalls(self, mut line: Line) -> io::Result<()> {
        match self {
            Self::Finish => line.finish().await,
            Self::Unannounced => Ok(()),
            Self::Reset => line.reset(),
            Self::HalfClose => {
                line.finish().await?;
                line.listen().await
            }
        }
    }
}
