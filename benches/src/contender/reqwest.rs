//! reqwest, one client for all callers, as its documentation advises. It has no cap.

use ::reqwest::{Client, Method, Request, Url};

use super::{Contender, Task, check};

pub struct Reqwest {
    client: Client,
    method: Method,
    url: Url,
    template: http::Request<bytes::Bytes>,
}

impl Contender for Reqwest {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        let mut tls = task.tls()?;
        tls.alpn_protocols = if task.http2 {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        } else {
            vec![b"http/1.1".to_vec()]
        };
        let builder = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .pool_max_idle_per_host(task.connections);
        let client = if task.http2 { builder } else { builder.http1_only() }.build()?;
        let template = task.request();
        Ok(Self {
            client,
            method: template.method().clone(),
            url: template.uri().to_string().parse()?,
            template,
        })
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        Ok(Self {
            client: self.client.clone(),
            method: self.method.clone(),
            url: self.url.clone(),
            template: self.template.clone(),
        })
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = self.template.headers().clone();
        *request.body_mut() = Some(self.template.body().clone().into());
        let response = self.client.execute(request).await?;
        let status = response.status();
        check(status, &response.bytes().await?)
    }
}
