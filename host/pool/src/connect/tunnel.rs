//! What is said to a proxy until it is a way to the server: CONNECT (RFC 9110, section 9.3.6) or SOCKS5 (RFC 1928).

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_socks::tcp::Socks5Stream;

use crate::proxy_error::ProxyError;

/// A tunnel through `socket` to `host`, asked for with CONNECT.
pub(super) async fn connect<S>(
    socket: S,
    host: &str,
    port: u16,
    authorization: Option<&HeaderValue>,
) -> Result<S, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| ProxyError::Broken(io::Error::other(error));
    let request =
        connect_request(host, port, authorization).map_err(|error| ProxyError::Broken(io::Error::other(error)))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
    let answering = pin!(sender.send_request(request));
    let working = pin!(connection.without_shutdown());
    // An answer that opens the tunnel ends HTTP on the connection; any other does not.
    let parts = match select(answering, working).await {
        Either::Left((answer, working)) => {
            check(answer.map_err(broken)?.status(), authorization)?;
            working.await.map_err(broken)?
        }
        Either::Right((parts, answering)) => {
            let parts = parts.map_err(broken)?;
            check(answering.await.map_err(broken)?.status(), authorization)?;
            parts
        }
    };
    if !parts.read_buf.is_empty() {
        let early = "something came through the tunnel before anything was sent";
        return Err(ProxyError::Broken(io::Error::new(io::ErrorKind::InvalidData, early)));
    }
    Ok(parts.io.into_inner())
}

fn connect_request(
    host: &str,
    port: u16,
    authorization: Option<&HeaderValue>,
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let authority = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    };
    let mut request = Request::connect(&authority).header(HOST, authority);
    if let Some(authorization) = authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    request.body(Empty::new())
}

/// What the proxy's answer to CONNECT means: any status of success opens the tunnel.
fn check(status: StatusCode, authorization: Option<&HeaderValue>) -> Result<(), ProxyError> {
    match status {
        _ if status.is_success() => Ok(()),
        // tinyproxy has it so, though 401 is an origin's word (RFC 9110, section 15.5.2).
        StatusCode::UNAUTHORIZED if authorization.is_some() => Err(ProxyError::AuthenticationFailed),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED if authorization.is_some() => Err(ProxyError::AuthenticationFailed),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(ProxyError::AuthenticationRequired),
        _ => Err(ProxyError::Refused {
            status: status.as_u16(),
        }),
    }
}

/// Whom a SOCKS proxy is asked to connect to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// The proxy resolves the name.
    Name(&'a str),
    Address(IpAddr),
}

/// A tunnel through `socket` to `target`, asked for with SOCKS5.
pub(super) async fn socks5<S>(
    socket: S,
    target: Target<'_>,
    port: u16,
    credentials: Option<(&str, &str)>,
) -> Result<S, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let tunnel = match (target, credentials) {
        (Target::Name(name), None) => Socks5Stream::connect_with_socket(socket, (name, port)).await,
        (Target::Address(address), None) => Socks5Stream::connect_with_socket(socket, (address, port)).await,
        (Target::Name(name), Some((user, password))) => {
            Socks5Stream::connect_with_password_and_socket(socket, (name, port), user, password).await
        }
        (Target::Address(address), Some((user, password))) => {
            Socks5Stream::connect_with_password_and_socket(socket, (address, port), user, password).await
        }
    };
    tunnel.map(Socks5Stream::into_inner).map_err(|error| match error {
        tokio_socks::Error::Io(source) => ProxyError::Broken(source),
        tokio_socks::Error::AuthorizationRequired | tokio_socks::Error::NoAcceptableAuthMethods
            if credentials.is_none() =>
        {
            ProxyError::AuthenticationRequired
        }
        tokio_socks::Error::PasswordAuthFailure(_) | tokio_socks::Error::InvalidAuthValues(_) => {
            ProxyError::AuthenticationFailed
        }
        other => ProxyError::SocksRefused {
            reason: other.to_string(),
        },
    })
}
