//! The failure that the pool exists for: a server that closes idle connections sooner than its caller expects, far enough
//! away that its farewell and the next request cross. httpx with the same settings and the same load runs beside it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Request;
use rustls::RootCertStore;
use weir_pool::{PoolConfig, PoolStats};

use crate::servers::Over;
use crate::servers::load::{Tally, call};
use crate::servers::nginx::Nginx;
use crate::servers::relay;
use crate::servers::rest::Subject;

/// The time to the server, each way.
const DELAY: Duration = Duration::from_millis(25);
/// Requests at once in a burst.
const CALLERS: usize = 8;

/// Bursts, and the pauses between them, around the time after which the server closes.
struct Load {
    server_closes_after: Duration,
    /// Requests that each caller makes one after the other in a burst.
    rounds: usize,
    bursts: u32,
    /// The pauses lie as far as this from the server's time, to either side.
    spread: Duration,
}

impl Load {
    /// Every part of the spread is visited evenly, and no pause twice: multiples of the golden ratio, without their
    /// whole part.
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        let earliest = self.server_closes_after - self.spread;
        let width = self.spread * 2;
        (1..=self.bursts).map(move |burst| earliest + width.mul_f64((f64::from(burst) * 0.618_034).fract()))
    }

    fn requests(&self) -> usize {
        CALLERS * self.rounds * self.bursts as usize
    }

    /// Runs the load through the pool and through httpx, over the same relay, and prints what both have lost.
    async fn run(&self) -> PoolStats {
        let closes_after = self.server_closes_after.as_millis();
        let nginx = Nginx::with(&format!(
            "keepalive_timeout {closes_after}ms; keepalive_requests 1000000;"
        ));
        let port = relay::start(nginx.port(Over::Http1), DELAY).await;
        let uri = format!("http://127.0.0.1:{port}/");
        let subject = Subject::new(RootCertStore::empty(), PoolConfig::preset("qdrant"), port);

        let httpx = self.httpx(&uri);
        let (tally, (requests, lost)) = tokio::join!(self.through(&subject, &uri), httpx);
        let stats = subject.at_rest(|| nginx.open()).await;
        let thousandth = requests as f64 / 1000.0;
        eprintln!(
            "of {requests} requests each, by the thousand: weir-pool lost {:.2} and sent {:.2} once more; httpx lost {:.2}",
            (tally.all() - tally.of(http::StatusCode::OK)) as f64 / thousandth,
            stats.replays as f64 / thousandth,
            lost as f64 / thousandth,
        );
        tally.assert_all_ok();
        assert_eq!((tally.all(), requests), (self.requests(), self.requests()));
        subject.close(|| nginx.open()).await;
        stats
    }

    async fn through(&self, subject: &Subject, uri: &str) -> Tally {
        let mut tally = Tally::default();
        for pause in self.pauses() {
            let callers = (0..CALLERS).map(|_| async {
                let mut tally = Tally::default();
                for _ in 0..self.rounds {
                    let query = Request::post(uri).body(Bytes::from_static(b"{\"limit\": 3}")).unwrap();
                    tally.count(&call(&subject.pool, query, true).await);
                }
                tally
            });
            tally = join_all(callers).await.into_iter().fold(tally, Tally::plus);
            tokio::time::sleep(pause).await;
        }
        tally
    }

    /// The same by httpx: how many requests it made, and how many of them failed.
    async fn httpx(&self, uri: &str) -> (usize, usize) {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python = repository.join("target/python/bin/python");
        assert!(
            python.exists(),
            "{} is missing; run `just python-clients`",
            python.display()
        );
        let mut command = Command::new(python);
        command
            .arg(repository.join("tests/python/httpx_bursts.py"))
            .args([uri, &CALLERS.to_string(), &self.rounds.to_string()])
            .args(self.pauses().map(|pause| pause.as_secs_f64().to_string()))
            .env_clear()
            .stderr(Stdio::inherit());
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        assert!(output.status.success(), "{}", output.status);
        let printed = String::from_utf8(output.stdout).unwrap();
        let (requests, lost) = printed.trim().split_once(' ').unwrap();
        (requests.parse().unwrap(), lost.parse().unwrap())
    }
}

/// The load of [`for_ten_minutes_no_request_is_lost_to_a_farewell_under_way`] with all but the distance at a tenth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_to_a_farewell_under_way() {
    let load = Load {
        server_closes_after: Duration::from_millis(500),
        rounds: 4,
        bursts: 15,
        spread: Duration::from_millis(100),
    };
    let stats = load.run().await;
    assert!(stats.replays > 0, "no request crossed a farewell: {stats:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes: `just soak`"]
async fn for_ten_minutes_no_request_is_lost_to_a_farewell_under_way() {
    let load = Load {
        server_closes_after: Duration::from_secs(5),
        rounds: 20,
        bursts: 100,
        spread: Duration::from_millis(300),
    };
    let stats = load.run().await;
    assert!(stats.replays > 0, "no request crossed a farewell: {stats:#?}");
}
