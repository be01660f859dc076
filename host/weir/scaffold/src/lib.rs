//! The adapter for {{name}}.

{{modules}}

use weir_guest::{Manifest, Setting};

struct Adapter;

// Makes `metadata` and a module for each interface that the world exports, each with its trait `Guest`.
weir_guest::provider!(
    Adapter,
    "
    package example:adapter;
    world adapter {
{{worlds}}
    }
    ",
    "wit/v0.1.0"
);

/// The secret's name. The operator grants it; its value never comes here.
const API_KEY: &str = "api_key";
const DEFAULT_BASE_URL: &str = "https://api.{{name}}.example/v1";
const DEFAULT_MODEL: &str = "{{name}}-1";

const BASE_URL: Setting = Setting::new("base_url", "Where the API is served.").default(DEFAULT_BASE_URL);
const MODEL: Setting = Setting::new("model", "The model when a call names none.").default(DEFAULT_MODEL);

impl metadata::Guest for Adapter {
    fn describe() -> Manifest {
        let description = "{{title}}, for weir.";
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION"), description)
            .origin_of(BASE_URL)
            .secret(API_KEY, "An API key, usually in {{VARIABLE}}.")
            .setting(BASE_URL)
            .setting(MODEL)
{{manifest}}
    }
}
