//! Calls dropped at any moment leave nothing behind: no permit, no waiter, no socket.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;
use weir_pool::{PoolConfig, PoolManager};
use weir_runtime::types::EmbeddingRequest;
use weir_runtime::{EgressGrant, Limits, Provider, ProviderSpec, Runtime, RuntimeOptions, WasiMode};
use weir_tests::adapter;
use weir_upstream::{Api, Upstream};

const MAX_CONNECTIONS: usize = 8;
const AT_ONCE: usize = 32;

async fn voyage(upstream: &Upstream) -> (Runtime, Provider) {
    let runtime = Runtime::new(RuntimeOptions {
        cache_dir: None,
        pools: PoolManager::new().unwrap(),
    })
    .unwrap();
    let spec = ProviderSpec {
        name: "voyage".to_owned(),
        component: std::fs::read(adapter("voyage")).unwrap().into(),
        wasi: WasiMode::Closed.into(),
        config: BTreeMap::from([("base_url".to_owned(), upstream.own_url_of(Api::Voyage))]),
        secrets: BTreeMap::from([("api_key".to_owned(), weir_upstream::DEFAULT_API_KEY.into())]),
        pool: PoolConfig {
            max_connections: MAX_CONNECTIONS.try_into().unwrap(),
            ..PoolConfig::default()
        }
        .into(),
        egress: EgressGrant {
            allow_private: vec!["127.0.0.1/32".parse().unwrap()],
            ..EgressGrant::default()
        },
        limits: Limits::default(),
        call_limits: BTreeMap::new(),
        storage: None,
    };
    let provider = runtime.load(spec).await.unwrap();
    (runtime, provider)
}

fn request() -> EmbeddingRequest {
    EmbeddingRequest {
        inputs: vec!["a dial that nobody waits for any more".into()],
        model: None,
        kind: None,
        dimensions: None,
    }
}

/// Moments spread over `most`, in the same order in every run (a linear congruential generator's, whose constants are
/// those of Numerical Recipes).
fn moments(most: Duration) -> impl Iterator<Item = Duration> {
    let mut state = 7_u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        most * (state >> 16) / (1 << 16)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cancelled_calls_leave_permits_equal_to_sockets_and_no_waiter() {
    let upstream = Upstream::builder()
        .latency(Duration::from_millis(4))
        .start()
        .await
        .unwrap();
    let (_runtime, provider) = voyage(&upstream).await;

    // More at once than there are connections, so that calls are cut while they wait, dial, send and read; and at
    // moments up to twice as long as such calls take on this machine.
    let begun = Instant::now();
    futures::future::join_all((0..AT_ONCE).map(|_| provider.embed(request()))).await;
    let usual = begun.elapsed();
    let calls = futures::stream::iter(moments(2 * usual).take(1_000)).map(|moment| {
        let provider = provider.clone();
        tokio::spawn(async move { tokio::time::timeout(moment, provider.embed(request())).await.is_err() })
    });
    let cut: Vec<bool> = calls.buffer_unordered(AT_ONCE).map(Result::unwrap).collect().await;
    let cancelled = cut.iter().filter(|cut| **cut).count();
    let arrived = upstream.stats().requests.total;
    assert!(
        cancelled > 100 && arrived > 100,
        "{cancelled} calls were cut, {arrived} requests arrived"
    );

    for _ in 0..3 {
        let answer = provider.embed(request()).await.unwrap();
        assert_eq!(answer.vectors.len(), answer.dimensions as usize);
    }

    // A dial that outlived its caller, and a connection closed in mid-answer, take their moment to settle.
    let settled = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let pool = provider.pool().unwrap().stats();
            let open = upstream.stats().listeners["voyage"].open;
            if pool.active == 0 && pool.connecting == 0 && pool.waiting == 0 && pool.idle as u64 == open {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (pool, seen) = (provider.pool().unwrap().stats(), upstream.stats());
    assert!(settled.is_ok(), "pool {pool:?}, upstream {seen:?}");
    assert_eq!(pool.connections_opened, seen.listeners["voyage"].opened);
    assert!(pool.idle <= MAX_CONNECTIONS, "{pool:?}");
    let instances = provider.stats().instances;
    assert_eq!((instances.leased, instances.waiting), (0, 0));
}
