//! A stateful component that takes another's place: of both there is one instance at any moment, so that neither works on
//! what it remembers while the other writes.

use std::collections::BTreeMap;
use std::path::Path;

use weir_pool::{PoolConfig, PoolManager};
use weir_runtime::vector_store::{Collection, Distance};
use weir_runtime::{EgressGrant, Limits, Provider, ProviderSpec, Runtime, RuntimeOptions, WasiMode};
use weir_tests::adapter;

fn memory(folder: &Path) -> ProviderSpec {
    ProviderSpec {
        name: "memory".to_owned(),
        component: std::fs::read(adapter("memory")).unwrap().into(),
        wasi: WasiMode::Closed.into(),
        config: BTreeMap::new(),
        secrets: BTreeMap::new(),
        pool: PoolConfig::default().into(),
        egress: EgressGrant::default(),
        limits: Limits::default(),
        call_limits: BTreeMap::new(),
        storage: Some(folder.join("memory.redb")),
    }
}

async fn make(provider: &Provider, name: &str) {
    let collection = Collection {
        name: name.to_owned(),
        dimensions: 3,
        distance: Distance::Cosine,
        sparse: false,
    };
    assert!(provider.ensure_collection(collection).await.unwrap());
}

fn idle(provider: &Provider) -> usize {
    provider.stats().instances.idle
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_still_holds_the_old_one_is_served_by_the_new_ones_instance() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(RuntimeOptions {
        cache_dir: None,
        pools: PoolManager::new().unwrap(),
    })
    .unwrap();
    let old = runtime.load(memory(folder.path())).await.unwrap();
    make(&old, "a").await;
    assert_eq!(idle(&old), 1);

    let new = runtime.replace(memory(folder.path()), &old).await.unwrap();
    assert_eq!(
        idle(&old),
        0,
        "the old instance remembers what will be changed without it"
    );
    make(&new, "b").await;
    make(&old, "c").await;
    assert_eq!((idle(&old), idle(&new)), (0, 1));
    let mut collections = new.list_collections().await.unwrap();
    collections.sort();
    assert_eq!(collections, ["a", "b", "c"]);
}
