//! The machine's resolver, with files and servers of the tests' own.

use std::net::SocketAddr;
use std::sync::Mutex as StdMutex;

use futures::future::{pending, ready};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record};
use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::*;

/// A name server that knows a few addresses and remembers what it was asked.
struct NameServer {
    address: SocketAddr,
    asked: Arc<StdMutex<Vec<String>>>,
}

impl NameServer {
    /// `known` holds names, addresses and TTLs.
    async fn knowing(known: &'static [(&str, &str, u32)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<StdMutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let question = query.queries[0].clone();
                let name = question.name().to_lowercase().to_ascii();
                noted.lock().unwrap().push(format!("{} {name}", question.query_type()));
                let mut response = Message::response(query.metadata.id, OpCode::Query);
                let of_name: Vec<_> = known.iter().filter(|(known, ..)| *known == name).collect();
                if of_name.is_empty() {
                    response.metadata.response_code = ResponseCode::NXDomain;
                }
                for (_, address, ttl) in of_name {
                    let data = RData::from(address.parse::<IpAddr>().unwrap());
                    if data.record_type() == question.query_type() {
                        response.add_answer(Record::from_rdata(question.name().clone(), *ttl, data));
                    }
                }
                response.add_query(question);
                let _ = socket.send_to(&response.to_vec().unwrap(), from).await;
            }
        });
        Self { address, asked }
    }

    fn servers(&self, search: &[&str]) -> Servers {
        let mut udp = ConnectionConfig::udp();
        udp.port = self.address.port();
        let server = NameServerConfig::new(self.address.ip(), true, vec![udp]);
        let search = search.iter().map(|domain| name(domain)).collect();
        Servers::new(
            ResolverConfig::from_parts(None, search, vec![server]),
            ResolverOpts::default(),
        )
        .unwrap()
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn found(addresses: &[&str], seconds: u64) -> Answer {
    Ok(Some(Resolved {
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        valid_for: Duration::from_secs(seconds),
    }))
}

fn later(millis: u64, answer: Answer) -> BoxFuture<'static, Answer> {
    async move {
        sleep(Duration::from_millis(millis)).await;
        answer
    }
    .boxed()
}

fn failed() -> Answer {
    Err(NetError::from("no server answered"))
}

#[test]
fn a_short_name_is_looked_for_in_the_search_domains_first() {
    let search = [name("corp.test."), name("test.")];
    let tried = |text: &str, ndots| -> Vec<String> {
        candidates(&name(text), &search, ndots)
            .iter()
            .map(Name::to_ascii)
            .collect()
    };
    assert_eq!(tried("db", 1), ["db.corp.test.", "db.test.", "db."]);
    assert_eq!(tried("db.eu", 1), ["db.eu.", "db.eu.corp.test.", "db.eu.test."]);
    assert_eq!(tried("db.eu", 5), ["db.eu.corp.test.", "db.eu.test.", "db.eu."]);
    assert_eq!(tried("db.", 1), ["db."]);
    assert_eq!(tried("my_service.x", 1)[0], "my_service.x.");
    assert_eq!(tried("localhost", 1)[0], "localhost.");
}

#[test]
fn a_name_in_the_hosts_file_has_those_addresses_alone() {
    let mut hosts = Hosts::default();
    hosts
        .read_hosts_conf("10.0.0.7 qdrant # here\n::7 both\n10.0.0.8 both".as_bytes())
        .unwrap();
    let configuration = Configuration {
        modified: [None, None],
        hosts,
        servers: None,
    };
    let in_file = |text: &str| {
        configuration
            .in_hosts_file(&name(text))
            .map(|resolved| resolved.addresses)
    };
    assert_eq!(in_file("qdrant"), Some(vec![[10, 0, 0, 7].into()]));
    assert_eq!(
        in_file("both"),
        Some(vec!["::7".parse().unwrap(), [10, 0, 0, 8].into()])
    );
    assert_eq!(in_file("other"), None);
}

#[tokio::test]
async fn the_machine_knows_its_own_name() {
    let resolver = SystemResolver::default();
    let resolved = resolver.find("localhost").await.unwrap();
    assert!(resolved.addresses.iter().all(IpAddr::is_loopback), "{resolved:?}");
    assert!(!resolved.addresses.is_empty());
}

#[tokio::test(start_paused = true)]
async fn both_families_are_waited_for_and_the_shorter_time_holds() {
    let answer = both(later(40, found(&["::1"], 60)), later(10, found(&["10.0.0.1"], 20))).await;
    assert_eq!(answer.unwrap(), found(&["::1", "10.0.0.1"], 20).unwrap());
    let answer = both(later(10, found(&["::1"], 60)), later(40, found(&["10.0.0.1"], 90))).await;
    assert_eq!(answer.unwrap(), found(&["::1", "10.0.0.1"], 60).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_family_nobody_answers_for_costs_no_more_than_the_resolution_delay() {
    let began = Instant::now();
    let answer = both(pending::<Answer>(), later(10, found(&["10.0.0.1"], 60))).await;
    assert_eq!(answer.unwrap(), found(&["10.0.0.1"], 0).unwrap());
    assert_eq!(began.elapsed(), Duration::from_millis(60));
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_of_one_family_waits_for_the_other() {
    let answer = both(ready(Ok(None)), later(900, found(&["10.0.0.1"], 60))).await;
    assert_eq!(answer.unwrap(), found(&["10.0.0.1"], 60).unwrap());
    let answer = both(ready(failed()), later(900, found(&["10.0.0.1"], 60))).await;
    assert_eq!(answer.unwrap(), found(&["10.0.0.1"], 0).unwrap());
    assert!(both(ready(Ok(None)), ready(Ok(None))).await.unwrap().is_none());
    assert!(both(ready(Ok(None)), ready(failed())).await.is_err());
}

#[tokio::test]
async fn a_server_tells_the_addresses_of_both_families_and_the_least_of_their_times() {
    let server = NameServer::knowing(&[
        ("db.test.", "10.0.0.1", 60),
        ("db.test.", "10.0.0.2", 60),
        ("db.test.", "fd00::1", 20),
    ])
    .await;
    let answer = server.servers(&[]).find(&name("db.test")).await;
    assert_eq!(
        answer.unwrap(),
        found(&["fd00::1", "10.0.0.1", "10.0.0.2"], 20).unwrap()
    );
}

#[tokio::test]
async fn an_answer_is_not_kept_by_the_library_as_well() {
    let server = NameServer::knowing(&[("db.test.", "10.0.0.1", 60)]).await;
    let servers = server.servers(&[]);
    for asked in [2, 4] {
        assert!(servers.find(&name("db.test")).await.unwrap().is_some());
        assert_eq!(server.asked.lock().unwrap().len(), asked);
    }
}

#[tokio::test]
async fn the_first_name_of_the_search_list_that_is_there_is_taken() {
    let server = NameServer::knowing(&[("db.eu.test.", "10.0.0.1", 60), ("db.", "10.0.0.2", 60)]).await;
    let answer = server.servers(&["us.test.", "eu.test."]).find(&name("db")).await;
    assert_eq!(answer.unwrap(), found(&["10.0.0.1"], 60).unwrap());
    let mut asked = server.asked.lock().unwrap().clone();
    asked.retain(|question| question.starts_with("A "));
    assert_eq!(asked, ["A db.us.test.", "A db.eu.test."]);
}

#[tokio::test]
async fn a_name_no_server_knows_is_told_from_a_server_that_fails() {
    let server = NameServer::knowing(&[]).await;
    assert!(server.servers(&[]).find(&name("db.test")).await.unwrap().is_none());
}
