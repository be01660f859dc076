//! hyper-util's legacy client, as its documentation builds one. It has no cap and no deadlines.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{Contender, Task, check};

pub struct HyperUtil {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: Request<Full<Bytes>>,
}

impl Contender for HyperUtil {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(task.tls()?)
            .https_or_http()
            .enable_http1();
        let connector = if task.http2 {
            connector.enable_http2().wrap_connector(tcp)
        } else {
            connector.wrap_connector(tcp)
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(task.connections)
            .build(connector);
        Ok(Self {
            client,
            request: task.request().map(Full::new),
        })
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        Ok(Self {
            client: self.client.clone(),
            request: self.request.clone(),
        })
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        let response = self.client.request(self.request.clone()).await?;
        let status = response.status();
        check(status, &response.into_body().collect().await?.to_bytes())
    }
}
