//! The parsers of what strangers write, for the fuzzer (`fuzz/README.md`). Each function asserts what must hold of every
//! answer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::Url;
use weir_pool::AddressFilter as _;

use crate::bindings::v0_1_0::metadata::{self, Manifest, Setting};
use crate::component::inspect::{WasiMode, inspect as look};
use crate::lend::address::{AddressGrant, is_public};
use crate::lend::egress::Egress;
use crate::origin::Origin;
use crate::runtime::effective_origins;
use crate::spec::EgressGrant;

/// A component's bytes.
pub fn inspect(bytes: &[u8]) {
    let closed = look(bytes, WasiMode::Closed.into());
    let stub = look(bytes, WasiMode::Stub.into());
    assert!(closed.stubbed.is_empty());
    assert_eq!(closed.imports, stub.imports);
    if closed.admitted() {
        assert!(stub.admitted() && stub.stubbed.is_empty());
    }
    if stub.admitted() {
        assert!(!stub.capabilities.is_empty());
        for import in &stub.imports {
            let reaches_out = ["wasi:sockets", "wasi:http", "wasi:filesystem"]
                .iter()
                .any(|package| import.starts_with(package));
            assert!(!reaches_out || stub.stubbed.contains(import), "{import} is linked");
            assert!(import.starts_with("wasi:") || import.starts_with("weir:"), "{import}");
        }
    }
}

/// An origin that an operator grants, and the URL of a request.
pub fn egress(granted: &str, url: &str) {
    let mut origins: Vec<Origin> = ["https://api.example.com", "http://127.0.0.1:6333", "http://[::1]"]
        .map(|origin| origin.parse().unwrap())
        .to_vec();
    if let Ok(origin) = granted.parse::<Origin>() {
        assert_eq!(
            origin.to_string().parse(),
            Ok(origin.clone()),
            "an origin is shown as one"
        );
        origins.push(origin);
    }
    let Ok(admitted) = Egress::new(origins.clone()).admit(url) else {
        return;
    };
    let parsed = Url::parse(url).expect("what is admitted is a URL");
    assert_eq!(parsed, admitted);
    assert!(parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none());
    let is_granted = |scheme: &str, host: &str, port: u16| {
        origins
            .iter()
            .any(|origin| (origin.scheme(), origin.host(), origin.port()) == (scheme, host.trim_end_matches('.'), port))
    };
    let port = parsed.port_or_known_default().unwrap();
    assert!(
        is_granted(parsed.scheme(), parsed.host_str().unwrap(), port),
        "{parsed}"
    );
    // What is sent is read by another parser, which must see the same server.
    if let Ok(uri) = parsed.as_str().parse::<http::Uri>() {
        assert_eq!(uri.scheme_str(), Some(parsed.scheme()));
        let host = uri.host().unwrap().to_ascii_lowercase();
        assert!(
            is_granted(parsed.scheme(), &host, uri.port_u16().unwrap_or(port)),
            "{uri}"
        );
        assert!(!uri.authority().unwrap().as_str().contains('@'), "{uri}");
    }
}

/// An address of either kind, and how much of it is a granted network.
pub fn address(v4: [u8; 4], v6: [u8; 16], prefix: u8) {
    let v4 = Ipv4Addr::from(v4);
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    let mapped: IpAddr = v4.to_ipv6_mapped().into();
    let translated = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
    let tunnelled = Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1);
    for form in [mapped, translated.into(), tunnelled.into()] {
        assert_eq!(is_public(form), is_public(v4.into()), "{form} is {v4}");
    }
    let none = AddressGrant::new(Vec::new());
    let network = IpNet::new(v4.into(), prefix % 33).unwrap();
    let granted = AddressGrant::new(vec![network]);
    assert!(granted.permits(v4.into()) && granted.permits(mapped));
    for address in [v4.into(), mapped, IpAddr::from(v6)] {
        assert_eq!(none.permits(address), is_public(address));
        if granted.permits(address) && !is_public(address) {
            assert!(
                network.contains(&address.to_canonical()),
                "{address} is not in {network}"
            );
        }
    }
    let v6 = Ipv6Addr::from(v6);
    if is_public(v6.into()) {
        let segments = v6.segments();
        let global = segments[0] & 0xe000 == 0x2000;
        assert!(
            global || v6.to_ipv4_mapped().is_some() || segments[..2] == [0x64, 0xff9b],
            "{v6}"
        );
    }
}

/// What a manifest asks for, what it proposes for a setting, what the operator set and what he allows.
pub fn grant(fixed: &str, proposed: Option<&str>, set: Option<&str>, allow: Option<&str>, trust_manifest: bool) {
    let manifest = Manifest {
        name: String::new(),
        version: String::new(),
        description: String::new(),
        origins: vec![
            metadata::Origin::Fixed(fixed.to_owned()),
            metadata::Origin::OfSetting("base_url".to_owned()),
            metadata::Origin::OfSetting("unknown".to_owned()),
        ],
        secrets: Vec::new(),
        settings: vec![Setting {
            name: "base_url".to_owned(),
            description: String::new(),
            default: proposed.map(str::to_owned),
        }],
        default_models: Vec::new(),
        limits: Vec::new(),
        stateful: false,
    };
    let config: BTreeMap<String, String> = set
        .map(|text| ("base_url".to_owned(), text.to_owned()))
        .into_iter()
        .collect();
    let egress = EgressGrant {
        allow: allow.map(|text| text.parse().into_iter().collect()),
        trust_manifest,
        ..EgressGrant::default()
    };
    let Ok(granted) = effective_origins("fuzzed", &config, &egress, &manifest) else {
        return;
    };
    let parsed = |text: &str| text.parse::<Origin>().ok();
    for origin in granted {
        let origin = Some(origin);
        let of_setting = set.and_then(parsed);
        let asked = [parsed(fixed), set.or(proposed).and_then(parsed)];
        assert!(asked.contains(&origin), "{origin:?} was not asked for");
        match &egress.allow {
            Some(allow) => assert!(allow.iter().any(|allowed| Some(allowed) == origin.as_ref())),
            None => assert!(trust_manifest || origin == of_setting, "{origin:?} was not granted"),
        }
    }
}
