//! Servers nobody should trust, and connections whose security ends badly.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use weir_pool::{ResetPoint, SendError};

use crate::certificates::{Authority, Identity};
use crate::line::{Line, Wire};
use crate::rig::{Rig, broken_off};
use crate::way::Way;

/// Serves well with this acceptor; without one, says this instead of a handshake and no more.
pub async fn stalling(mut tcp: TcpStream, said: &[u8], acceptor: Option<TlsAcceptor>, way: Way) -> io::Result<()> {
    if let Some(acceptor) = acceptor {
        let wire = Wire::Tls(Box::new(acceptor.accept(tcp).await?));
        return Line::new(wire, way.http2, 0).echo().await;
    }
    tcp.write_all(said).await?;
    tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await?;
    Ok(())
}

async fn a_certificate_that_does_not_hold_is_refused_before_anything_is_sent(way: Way) {
    for (identity, reason) in [
        (Identity::Expired, "expired"),
        (Identity::OfAnotherName, "not valid for name"),
        (Identity::OfAnUnknownIssuer, "UnknownIssuer"),
    ] {
        let authority = Authority::new();
        let (bad, good) = (
            authority.acceptor(identity, way.alpn()),
            authority.acceptor(Identity::Good, way.alpn()),
        );
        let rig = Rig::accepting(way, authority, move |tcp, number| {
            let acceptor = if number == 0 { bad.clone() } else { good.clone() };
            stalling_never(tcp, acceptor, way)
        })
        .await;
        let error = rig.post("a secret").await.unwrap_err();
        assert!(matches!(error, SendError::Tls { .. }), "{identity:?}: {error:?}");
        assert!(error.to_string().contains(reason), "{identity:?}: {error}");
        assert!(error.is_unprocessed());
        let stats = rig.is_sound().await;
        assert_eq!((stats.dials_failed, stats.connections_opened), (1, 0));
    }
}

async fn stalling_never(tcp: TcpStream, acceptor: TlsAcceptor, way: Way) -> io::Result<()> {
    stalling(tcp, b"", Some(acceptor), way).await
}

async fn a_handshake_that_breaks_off_or_is_none_is_an_error_of_tls(way: Way) {
    #[derive(Clone, Copy, Debug)]
    enum Instead {
        Close,
        Reset,
        ClearText,
    }
    for instead in [Instead::Close, Instead::Reset, Instead::ClearText] {
        let authority = Authority::new();
        let good = authority.acceptor(Identity::Good, way.alpn());
        let rig = Rig::accepting(way, authority, move |mut tcp, number| {
            let good = good.clone();
            async move {
                if number > 0 {
                    return stalling_never(tcp, good, way).await;
                }
                tcp.read_buf(&mut Vec::with_capacity(4096)).await?;
                match instead {
                    Instead::Close => Ok(()),
                    Instead::Reset => tcp.set_zero_linger(),
                    Instead::ClearText => tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
                }
            }
        })
        .await;
        let error = rig.post("a secret").await.unwrap_err();
        assert!(matches!(error, SendError::Tls { .. }), "{instead:?}: {error:?}");
        assert!(error.is_unprocessed());
        assert_eq!(rig.is_sound().await.dials_failed, 1);
    }
}

/// Without a length the end of the connection is the end of the body, so it must be a proven end (RFC 9112, section
/// 9.8): otherwise anybody on the way could cut it.
async fn a_body_that_ends_with_its_connection_is_whole_only_if_tls_says_so(way: Way) {
    for announced in [true, false] {
        let rig = Rig::new(way, move |mut line| async move {
            line.asked().await?;
            line.write(b"HTTP/1.1 200 OK\r\n\r\nall of it").await?;
            if announced { line.finish().await } else { Ok(()) }
        })
        .await;
        match rig.get().await {
            Ok(body) => assert_eq!((announced, &body[..]), (true, &b"all of it"[..])),
            Err(error) => {
                assert_eq!(broken_off(&error), (ResetPoint::InBody, true));
                assert!(!announced);
            }
        }
        rig.is_sound().await;
    }
}

async fn an_idle_connection_that_ends_without_a_word_is_not_used_again(way: Way) {
    let rig = Rig::new(way, |mut line| async move {
        match line.asked().await? {
            Some(asked) => line.reply(&asked).await,
            None => Ok(()),
        }
    })
    .await;
    rig.get().await.unwrap();
    assert_eq!(rig.agrees().await.idle, 0);
    assert_eq!(rig.post("once").await.unwrap(), "once");
    assert_eq!(rig.is_sound().await.replays, 0);
}

over_tls!(
    a_certificate_that_does_not_hold_is_refused_before_anything_is_sent,
    a_handshake_that_breaks_off_or_is_none_is_an_error_of_tls,
    an_idle_connection_that_ends_without_a_word_is_not_used_again,
);
over_ways!(a_body_that_ends_with_its_connection_is_whole_only_if_tls_says_so: http1_under_tls HTTP1_TLS);
