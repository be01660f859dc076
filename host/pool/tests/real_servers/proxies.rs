//! The proxies themselves, spoken to byte by byte, so that a failure through one of them is known to be the pool's.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::servers::Over;
use crate::servers::nginx::Nginx;
use crate::servers::proxies::{Dante, Tinyproxy};

/// `me:secret`, as a `Proxy-Authorization` carries it.
const CREDENTIALS: &str = "bWU6c2VjcmV0";

#[test]
fn tinyproxy_makes_a_tunnel_for_those_who_know_the_password() {
    let nginx = Nginx::with("");
    let proxy = Tinyproxy::asking_for("me", "secret");
    let target = format!("127.0.0.1:{}", nginx.port(Over::Http1));
    let ask = |header: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let head = head(&mut stream);
        (stream, head)
    };
    let (_, refused) = ask("");
    assert!(refused.contains(" 407 "), "{refused}");

    let (mut stream, granted) = ask(&format!("Proxy-Authorization: Basic {CREDENTIALS}\r\n"));
    assert!(granted.contains(" 200 "), "{granted}");
    assert!(fetch(&mut stream).contains(" 200 OK"));
}

#[test]
fn dante_makes_a_tunnel_by_socks5() {
    let nginx = Nginx::with("");
    let proxy = Dante::start();
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();

    // Version 5, one method: no authentication (RFC 1928, section 3).
    stream.write_all(&[5, 1, 0]).unwrap();
    let mut method = [0; 2];
    stream.read_exact(&mut method).unwrap();
    assert_eq!(method, [5, 0]);

    // Connect to an IPv4 address (section 4).
    let port = nginx.port(Over::Http1).to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, port[0], port[1]]).unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..2], [5, 0]);
    assert!(fetch(&mut stream).contains(" 200 OK"));
}

fn fetch(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n").unwrap();
    head(stream)
}

/// Everything up to the first empty line, read byte by byte so that nothing behind it is taken.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}
