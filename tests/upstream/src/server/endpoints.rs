//! Where a server listens.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::Context;
use serde::Serialize;

use crate::api::Api;

/// Where a server listens. The base URL of an API is what its clients take, version included where they expect it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoints {
    /// The port that serves all APIs, each under its name.
    pub url: String,
    /// Base URLs on that port.
    #[serde(flatten)]
    pub apis: BTreeMap<Api, String>,
    /// Base URLs on a port of each API's own, at the root.
    pub own_ports: BTreeMap<Api, String>,
    /// The control port, `/_control` included.
    pub control: String,
    /// The TLS port, if there is one.
    pub tls: Option<TlsEndpoints>,
}

/// Where a server listens with TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsEndpoints {
    /// The port that serves all APIs, each under its name.
    pub url: String,
    /// Base URLs on that port.
    #[serde(flatten)]
    pub apis: BTreeMap<Api, String>,
    /// The file of the certificate authority, if one was asked for.
    pub ca_file: Option<PathBuf>,
}

impl Endpoints {
    pub(super) fn new(
        ports: &BTreeMap<&'static str, SocketAddr>,
        control: SocketAddr,
        ca_file: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let url = |scheme: &str, name: &str| {
            let address = ports.get(name).with_context(|| format!("no listener `{name}`"))?;
            anyhow::Ok(format!("{scheme}://{address}"))
        };
        let under = |url: &str| {
            Api::ALL
                .map(|api| (api, format!("{url}/{api}{}", api.base_path())))
                .into()
        };
        let own_ports = Api::ALL
            .into_iter()
            .map(|api| Ok((api, format!("{}{}", url("http", api.name())?, api.base_path()))))
            .collect::<anyhow::Result<_>>()?;
        let tls = match ports.contains_key("tls") {
            false => None,
            true => {
                let url = url("https", "tls")?;
                Some(TlsEndpoints {
                    apis: under(&url),
                    url,
                    ca_file,
                })
            }
        };
        let url = url("http", "all")?;
        Ok(Self {
            apis: under(&url),
            url,
            own_ports,
            control: format!("http://{control}/_control"),
            tls,
        })
    }
}
