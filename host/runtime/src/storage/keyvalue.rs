//! `wasi:keyvalue` over a provider's [`Storage`]. The file is touched on the blocking threads, never on a worker.

use wasmtime::component::Resource;

use crate::bindings::v0_1_0::keyvalue::{batch, store};
use crate::instance::state::InstanceState;
use crate::storage::{Bucket, Storage};

type Keyed<T> = wasmtime::Result<Result<T, store::Error>>;

impl store::Host for InstanceState {
    async fn open(&mut self, identifier: String) -> Keyed<Resource<Bucket>> {
        if self.storage.is_none() {
            return Ok(Err(store::Error::AccessDenied));
        }
        if !identifier.is_empty() {
            return Ok(Err(store::Error::NoSuchStore));
        }
        Ok(Ok(self.table.push(Bucket)?))
    }
}

impl store::HostBucket for InstanceState {
    async fn get(&mut self, _bucket: Resource<Bucket>, key: String) -> Keyed<Option<Vec<u8>>> {
        let values = with(self, move |storage| storage.get_many(&[key])).await?;
        Ok(values.map(|mut values| values.pop().flatten()))
    }

    async fn set(&mut self, _bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Keyed<()> {
        with(self, move |storage| storage.write(&[(key, Some(value))])).await
    }

    async fn delete(&mut self, _bucket: Resource<Bucket>, key: String) -> Keyed<()> {
        with(self, move |storage| storage.write(&[(key, None)])).await
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Keyed<bool> {
        Ok(self.get(bucket, key).await?.map(|value| value.is_some()))
    }

    async fn list_keys(&mut self, _bucket: Resource<Bucket>, cursor: Option<u64>) -> Keyed<store::KeyResponse> {
        let page = with(self, move |storage| storage.list_keys(cursor)).await?;
        Ok(page.map(|page| store::KeyResponse {
            keys: page.keys,
            cursor: page.cursor,
        }))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl batch::Host for InstanceState {
    async fn get_many(
        &mut self,
        _bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Keyed<Vec<Option<(String, Vec<u8>)>>> {
        with(self, move |storage| {
            let values = storage.get_many(&keys)?;
            Ok(keys
                .into_iter()
                .zip(values)
                .map(|(key, value)| value.map(|value| (key, value)))
                .collect())
        })
        .await
    }

    async fn set_many(&mut self, _bucket: Resource<Bucket>, key_values: Vec<(String, Vec<u8>)>) -> Keyed<()> {
        with(self, move |storage| {
            let changes: Vec<_> = key_values.into_iter().map(|(key, value)| (key, Some(value))).collect();
            storage.write(&changes)
        })
        .await
    }

    async fn delete_many(&mut self, _bucket: Resource<Bucket>, keys: Vec<String>) -> Keyed<()> {
        with(self, move |storage| {
            let changes: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
            storage.write(&changes)
        })
        .await
    }
}

async fn with<T: Send + 'static>(
    state: &mut InstanceState,
    work: impl FnOnce(&Storage) -> Result<T, redb::Error> + Send + 'static,
) -> Keyed<T> {
    let Some(storage) = state.storage.clone() else {
        return Ok(Err(store::Error::AccessDenied));
    };
    if let Some(call) = &state.call {
        call.act();
    }
    let done = tokio::task::spawn_blocking(move || work(&storage)).await?;
    Ok(done.map_err(|error| {
        store::Error::Other(match error {
            // What was refused here says so itself.
            redb::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        })
    }))
}
