//! Whether a server that was started is there.

use std::net::{Ipv4Addr, TcpStream};

/// Whether something listens on that port of this machine.
///
/// Where nothing does, a connection may meet itself: its own end may be given the very port that it asks for, and two that
/// open to each other are connected (RFC 9293, 3.5). Such a one does not count.
pub fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .is_ok_and(|stream| matches!((stream.local_addr(), stream.peer_addr()), (Ok(own), Ok(other)) if own != other))
}
