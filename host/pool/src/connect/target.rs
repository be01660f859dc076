//! Which addresses a host stands for, and which of them may be dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::Spares;
use super::names::Names;
use super::race::{Unreached, interleaved, race};
use crate::error::ConnectStage;
use crate::settings::AddressFilter;

/// Why there is no socket to a host.
#[derive(Debug)]
pub(super) enum Unreachable {
    /// The time was over, while the dial was busy with this.
    Late(ConnectStage),
    Unresolved(io::Error),
    /// The first of its addresses, none of which the filter permits.
    Denied(IpAddr),
    Refused(io::Error),
}

/// The address that `host` spells out. The old ways to write one (`127.1`, `0x7f000001`) are read as the C library and
/// most proxies read them, lest they pass for names.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok().or_else(|| match Host::parse(host) {
        Ok(Host::Ipv4(address)) => Some(address.into()),
        _ => None,
    })
}

/// The addresses of `host` that `filter` permits, in the order in which they are to be tried.
pub(super) async fn permitted(
    names: &Arc<Names>,
    host: &str,
    filter: Option<&dyn AddressFilter>,
    deadline: Instant,
) -> Result<Vec<IpAddr>, Unreachable> {
    let found = match literal(host) {
        Some(address) => vec![address],
        None => timeout_at(deadline, names.lookup(host))
            .await
            .map_err(|_| Unreachable::Late(ConnectStage::Resolving))?
            .map_err(Unreachable::Unresolved)?
            .to_vec(),
    };
    let permits = |address: &IpAddr| filter.is_none_or(|filter| filter.permits(*address));
    let (permitted, denied): (Vec<_>, Vec<_>) = found.into_iter().partition(permits);
    match (permitted.is_empty(), denied.first()) {
        (true, Some(address)) => Err(Unreachable::Denied(*address)),
        _ => Ok(interleaved(&permitted)),
    }
}

/// A socket to `host`, at one of its addresses that `filter` permits.
pub(super) async fn reach(
    names: &Arc<Names>,
    host: &str,
    port: u16,
    filter: Option<&dyn AddressFilter>,
    deadline: Instant,
    spares: &dyn Spares,
) -> Result<TcpStream, Unreachable> {
    let addresses: Vec<_> = permitted(names, host, filter, deadline)
        .await?
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect();
    let raced = race(&addresses, deadline, || spares.spare(), connect).await;
    raced.map_err(|error| {
        // The server may have moved: the next dial is to hear of it.
        names.forget(host);
        match error {
            Unreached::Late => Unreachable::Late(ConnectStage::Connecting),
            Unreached::Refused(source) => Unreachable::Refused(source),
        }
    })
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    // A request is written in one go; waiting for more to send with it would only delay it.
    socket.set_nodelay(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::Any;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use tokio::net::TcpListener;

    use super::super::resolve::{Resolve, Resolved};

    /// Permits 127.0.0.1 and notes what it was asked.
    #[derive(Debug, Default)]
    struct Noting(Mutex<Vec<IpAddr>>);

    impl AddressFilter for Noting {
        fn permits(&self, address: IpAddr) -> bool {
            self.0.lock().unwrap().push(address);
            address == IpAddr::from([127, 0, 0, 1])
        }
    }

    struct NoSpares;

    impl Spares for NoSpares {
        fn spare(&self) -> Option<Box<dyn Any + Send>> {
            None
        }
    }

    /// Another address each time it is asked: at first 127.0.0.1, then 127.0.0.2.
    #[derive(Debug, Default)]
    struct Rebinding(AtomicBool);

    impl Resolve for Rebinding {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Resolved>> {
            let again = self.0.swap(true, Ordering::SeqCst);
            let addresses = vec![[127, 0, 0, 1 + u8::from(again)].into()];
            let valid_for = Duration::from_secs(60);
            std::future::ready(Ok(Resolved { addresses, valid_for })).boxed()
        }
    }

    #[tokio::test]
    async fn what_the_filter_passed_is_what_is_dialled_though_the_name_changes_its_answer() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let names = Names::new(Arc::new(Rebinding::default()));
        let filter = Noting::default();
        let deadline = Instant::now() + Duration::from_secs(10);
        let dial = || reach(&names, "changing.example", port, Some(&filter), deadline, &NoSpares);

        let socket = dial().await.unwrap();
        assert_eq!(socket.peer_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(*filter.0.lock().unwrap(), [IpAddr::from([127, 0, 0, 1])]);

        names.forget("changing.example");
        assert!(matches!(dial().await, Err(Unreachable::Denied(address)) if address == IpAddr::from([127, 0, 0, 2])));
    }

    #[test]
    fn an_address_is_known_in_whatever_way_it_is_written() {
        for host in ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1."] {
            assert_eq!(literal(host), Some([127, 0, 0, 1].into()), "{host}");
        }
        assert_eq!(literal("::1"), Some("::1".parse().unwrap()));
        for host in ["localhost", "1.example", "127.0.0.1.nip.io", "a_b"] {
            assert_eq!(literal(host), None, "{host}");
        }
    }
}
