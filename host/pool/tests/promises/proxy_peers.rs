//! Proxies: one that speaks HTTP and one that speaks SOCKS5, which lead every host to one server and remember what they
//! were asked.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use weir_pool::{PoolSettings, Proxies};

use crate::peers::{Connection, Peer, config};

/// What a proxy has been asked, in the order of the asking.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, asked: String) {
        self.0.lock().unwrap().push(asked);
    }
}

/// What is answered to CONNECT where the way is free.
pub const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// An HTTP proxy in front of `server`, which answers with `refusal` whoever does not name `authorization`.
pub async fn http(server: SocketAddr, authorization: Option<&'static str>, refusal: &'static str) -> (Peer, Asked) {
    let asked = Asked::default();
    let noted = asked.clone();
    let peer = Peer::following(move |connection, _| {
        let asked = noted.clone();
        async move { pass_on(connection, server, authorization, refusal, &asked).await }
    })
    .await;
    (peer, asked)
}

/// What an HTTP proxy does with a connection.
pub async fn pass_on<S>(
    mut connection: Connection<S>,
    server: SocketAddr,
    authorization: Option<&str>,
    refusal: &str,
    asked: &Asked,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(head) = connection.request().await? {
        asked.note(head.clone());
        let given = head.lines().find_map(|line| line.strip_prefix("proxy-authorization: "));
        if given != authorization {
            return connection.write(refusal).await;
        }
        if head.starts_with("CONNECT ") {
            let mut behind = TcpStream::connect(server).await?;
            connection.write(ESTABLISHED).await?;
            copy_bidirectional(&mut connection.stream, &mut behind).await?;
            return Ok(());
        }
        connection.answer("passed on").await?;
    }
    Ok(())
}

/// A SOCKS5 proxy in front of `server`, which lets in whoever gives `credentials` and replies with `reply`.
pub async fn socks5(server: SocketAddr, credentials: Option<(&'static str, &'static str)>, reply: u8) -> (Peer, Asked) {
    let asked = Asked::default();
    let noted = asked.clone();
    let peer = Peer::following(move |connection, _| {
        let asked = noted.clone();
        async move { shake_hands(connection.stream, server, credentials, reply, &asked).await }
    })
    .await;
    (peer, asked)
}

async fn shake_hands(
    mut stream: TcpStream,
    server: SocketAddr,
    credentials: Option<(&str, &str)>,
    reply: u8,
    asked: &Asked,
) -> io::Result<()> {
    // RFC 1928, section 3: version, methods.
    let [_, methods] = bytes(&mut stream).await?;
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered).await?;
    let method = if credentials.is_some() { 2 } else { 0 };
    if !offered.contains(&method) {
        return stream.write_all(&[5, 0xff]).await;
    }
    stream.write_all(&[5, method]).await?;
    if let Some((user, password)) = credentials {
        // RFC 1929, section 2.
        let [_] = bytes(&mut stream).await?;
        let given = (text(&mut stream).await?, text(&mut stream).await?);
        let accepted = (given.0.as_str(), given.1.as_str()) == (user, password);
        stream.write_all(&[1, u8::from(!accepted)]).await?;
        if !accepted {
            return Ok(());
        }
    }
    // RFC 1928, section 4: version, command, reserved, kind of address.
    let [_, command, _, kind] = bytes(&mut stream).await?;
    assert_eq!(command, 1);
    let host = match kind {
        1 => SocketAddr::from((bytes::<4>(&mut stream).await?, 0)).ip().to_string(),
        4 => SocketAddr::from((bytes::<16>(&mut stream).await?, 0)).ip().to_string(),
        _ => format!("name {}", text(&mut stream).await?),
    };
    let port = u16::from_be_bytes(bytes(&mut stream).await?);
    asked.note(format!("{host} {port}"));
    stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    if reply != 0 {
        return Ok(());
    }
    let mut behind = TcpStream::connect(server).await?;
    copy_bidirectional(&mut stream, &mut behind).await?;
    Ok(())
}

async fn bytes<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn text(stream: &mut TcpStream) -> io::Result<String> {
    let [length] = bytes(stream).await?;
    let mut text = vec![0; usize::from(length)];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).unwrap())
}

/// The settings of a pool that goes through the proxy at `url`.
pub fn through(url: &str) -> PoolSettings {
    PoolSettings {
        proxies: Proxies::through(url, "").unwrap(),
        ..PoolSettings::from(config(4))
    }
}
