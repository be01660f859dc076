//! Configurations as operators write them, right and wrong.

use std::path::Path;

use super::*;

fn sources(environment: &[(&str, &str)]) -> Sources {
    Sources {
        file: None,
        environment: environment.iter().copied().collect(),
        folders: Folders {
            working: "/srv".into(),
            config: None,
            data: "/home/me/.local/share/weir".into(),
            cache: "/home/me/.cache/weir".into(),
        },
        flags: Vec::new(),
    }
}

fn configured(text: &str, sources: &Sources) -> Result<EffectiveConfig, ConfigError> {
    let path = PathBuf::from("weir.toml");
    effective(
        file::parse(&path, text.to_owned(), &sources.environment)?,
        Some(path),
        sources,
    )
}

fn without_file(environment: &[(&str, &str)]) -> EffectiveConfig {
    effective(Node::root(), None, &sources(environment)).unwrap()
}

fn error(text: &str) -> String {
    error_in(text, &[])
}

fn error_in(text: &str, environment: &[(&str, &str)]) -> String {
    configured(text, &sources(environment)).unwrap_err().to_string()
}

fn names(config: &EffectiveConfig) -> Vec<&str> {
    config.config.providers.keys().map(String::as_str).collect()
}

fn origin(config: &EffectiveConfig, keys: &[&str]) -> String {
    config.tree.get(keys).unwrap().origin.to_string()
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_a_suggestion() {
    assert_eq!(
        error("[http_pool]\nmax_connections = 20\n\nmax_keepalive_conections = 3\n"),
        "weir.toml:4:1: unknown key `http_pool.max_keepalive_conections`; did you mean `max_keepalive_connections`?\n \
         4 | max_keepalive_conections = 3\n   | ^^^^^^^^^^^^^^^^^^^^^^^^"
    );
    assert_eq!(
        error("[http-pool]\n"),
        "weir.toml:1:2: unknown key `http-pool`; did you mean `http_pool`?\n 1 | [http-pool]\n   |  ^^^^^^^^^"
    );
    assert_eq!(
        error("[providers.voyage.limits]\nmemry = \"1GiB\""),
        "weir.toml:2:1: unknown key `providers.voyage.limits.memry`; did you mean `memory`?\n \
         2 | memry = \"1GiB\"\n   | ^^^^^"
    );
}

#[test]
fn a_wrong_type_is_named_with_what_was_expected() {
    assert_eq!(
        error("[http_pool]\nmax_connections = \"many\""),
        "weir.toml:2:19: http_pool.max_connections: expected a whole number above 0, found the text \"many\"\n \
         2 | max_connections = \"many\"\n   |                   ^^^^^^"
    );
    assert!(error("[http_pool]\nmax_connections = 0").contains("expected a whole number above 0, found the number 0"));
    assert!(error("http_pool = 3").contains("weir.toml:1:13: http_pool: expected a table, found the number 3"));
    assert!(error("[http_pool]\nenabled = \"yes\"").contains("expected true or false, found the text \"yes\""));
    assert!(error("[providers.local.limits]\nmemory = \"64Mib!\"").contains("expected a size like \"64MiB\""));
    assert!(
        error("[providers.local.limits]\nisolation = \"shared\"")
            .contains("expected \"reuse\" or \"call\" or \"resident\", found the text \"shared\"")
    );
}

#[test]
fn a_url_with_a_password_is_not_repeated() {
    for text in [
        "[providers.voyage.egress]\nallow = [\"https://ada:hush@api.example\"]",
        "[providers.voyage.egress]\nallow_private = [\"https://ada:hush@10.0.0.1\"]",
        "[http_pool]\nenabled = \"https://ada:hush@api.example\"",
    ] {
        let error = error(text);
        assert!(error.contains("found a text") && !error.contains("hush"), "{error}");
    }
}

#[test]
fn durations_that_make_no_sense_are_refused() {
    for (text, expected) in [
        (
            "read_timeout = -1",
            "expected seconds from 0 to 86400 (a day), found -1",
        ),
        (
            "read_timeout = nan",
            "expected seconds from 0 to 86400 (a day), found NaN",
        ),
        (
            "read_timeout = 600000",
            "expected seconds from 0 to 86400 (a day), found 600000",
        ),
        ("read_timeout = 0", "expected seconds above 0, found 0"),
        (
            "read_timeout = \"60s\"",
            "expected a number of seconds, found the text \"60s\"",
        ),
    ] {
        let error = error(&format!("[http_pool]\n{text}"));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_undefined_variable_is_named_with_its_line() {
    assert_eq!(
        error("[providers.qdrant.config]\n\nbase_url = \"http://${QDRANT_HOST}:6333\""),
        "weir.toml:3:12: providers.qdrant.config.base_url: the environment variable `QDRANT_HOST` is not defined; set it, \
         or write `$${` for a plain `${`\n 3 | base_url = \"http://${QDRANT_HOST}:6333\"\n   \
         |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let error = error("[providers.voyage.secrets]\napi_key = \"pa-very-secret\"");
    assert_eq!(
        error,
        "weir.toml:2:11: providers.voyage.secrets.api_key: a secret is not written into the configuration; say where it \
         is kept, with { env = \"NAME\" } or { file = \"PATH\" }"
    );
}

#[test]
fn a_secret_under_any_key_of_its_table_is_not_repeated() {
    let table = "[providers.voyage.secrets]\n";
    for wrong in [
        "api_kye = \"sekret\"",
        "api_kye = sekret",
        "api_kye = \"\"\"\nsekret",
        "api_kye = [\n  \"sekret\",\n]",
        "api_kye = { evn = \"sekret\" }",
        "api_kye.evn = \"sekret\"",
        "api_kye = { env = \"sekret-1\" }",
    ] {
        let error = error(&format!("{table}{wrong}"));
        assert!(!error.contains("sekret"), "{error}");
    }
    for wrong in ["api_keys = [\n  \"sekret\",\n]", "api_keys = [{ env = \"sekret-1\" }]"] {
        let error = error(&format!("[server]\n{wrong}"));
        assert!(!error.contains("sekret"), "{error}");
    }
}

#[test]
fn a_key_where_its_variables_name_belongs_is_refused() {
    let expected = "weir.toml:2:11: providers.voyage.secrets.api_key: what `env` says is no variable's name, which is made \
                    of letters, digits and `_`; never put the key itself here";
    for name in ["sk-pasted", "", "1A", "A B", "${SEKRET}"] {
        let text = format!("[providers.voyage.secrets]\napi_key = {{ env = {name:?} }}");
        assert_eq!(error_in(&text, &[("SEKRET", "sekret")]), expected, "{name}");
    }
}

#[test]
fn what_a_variable_holds_is_not_told() {
    for setting in [
        "[server]\nlisten = \"${HIDDEN}\"",
        "[http_pool]\nmax_connections = \"${HIDDEN}\"",
        "[providers.local.limits]\nmemory = \"${HIDDEN}\"",
        "[providers.local.egress]\nallow = [\"${HIDDEN}\"]",
        "[providers.local.egress]\nallow_private = [\"${HIDDEN}\"]",
        "[providers.qdrant.config]\nbase_url = \"${HIDDEN}\"",
        "[providers.mine]\ncomponent = \"${HIDDEN}\"",
        "[index]\nstore = \"${HIDDEN}\"",
        "[routes.chat]\ndefault = [\"${HIDDEN}/m\"]",
    ] {
        let error = error_in(setting, &[("HIDDEN", "sekret")]);
        assert!(!error.contains("sekret") && error.contains("${HIDDEN}"), "{error}");
    }
    assert_eq!(
        error_in("[server]\nlisten = \"${HIDDEN}\"", &[("HIDDEN", "sekret")]),
        "weir.toml:2:10: server.listen: expected an address and a port like \"127.0.0.1:8787\" or \"[::1]:8787\", found \
         the text \"${HIDDEN}\"\n 2 | listen = \"${HIDDEN}\"\n   |          ^^^^^^^^^^^"
    );
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let error = error("[http_pool]\nmax_connections = = 3");
    assert!(error.starts_with("weir.toml:2:19: this is not TOML: "), "{error}");
}

#[test]
fn a_wrong_environment_variable_is_named() {
    assert_eq!(
        error_in("", &[("WEIR_HTTP_POOL__MAX_CONECTIONS", "3")]),
        "environment variable WEIR_HTTP_POOL__MAX_CONECTIONS: unknown key `http_pool.max_conections`; did you mean \
         `max_connections`?"
    );
    assert_eq!(
        error_in("", &[("WEIR_HTTP_POOL__POOL_TIMEOUT", "soon")]),
        "environment variable WEIR_HTTP_POOL__POOL_TIMEOUT: http_pool.pool_timeout: expected a number of seconds, found \
         the text \"soon\""
    );
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n[http_pool]\nmax_connections = 10\nmax_waiters = 7";
    let mut sources = sources(&[
        ("WEIR_HTTP_POOL__MAX_CONNECTIONS", "20"),
        ("WEIR_SERVER__LISTEN", "127.0.0.1:2"),
    ]);
    sources
        .flags
        .push(("--listen", vec!["server".into(), "listen".into()], "127.0.0.1:3".into()));
    let config = configured(text, &sources).unwrap();

    assert_eq!(config.config.server.address().port(), 3);
    assert_eq!(origin(&config, &["server", "listen"]), "flag --listen");
    assert_eq!(config.config.http_pool.max_connections.get(), 20);
    assert_eq!(
        origin(&config, &["http_pool", "max_connections"]),
        "environment WEIR_HTTP_POOL__MAX_CONNECTIONS"
    );
    assert_eq!(origin(&config, &["http_pool", "max_waiters"]), "weir.toml:5");
    assert_eq!(origin(&config, &["http_pool", "enable_http2"]), "default");
}

#[test]
fn a_pool_follows_its_provider_then_http_pool_then_the_preset() {
    let text = "[http_pool]\nread_timeout = 7.5\n[providers.voyage.http_pool]\nmax_waiters = 9";
    let config = configured(text, &sources(&[])).unwrap();
    let pool = &config.config.providers["voyage"].http_pool;

    assert_eq!(pool.max_waiters, 9);
    assert_eq!(pool.read_timeout.0.as_secs_f64(), 7.5);
    assert_eq!(pool.max_connections.get(), 50);
    assert_eq!(
        origin(&config, &["providers", "voyage", "http_pool", "read_timeout"]),
        "weir.toml:2"
    );
    assert_eq!(
        origin(&config, &["providers", "voyage", "http_pool", "max_connections"]),
        "preset voyage"
    );
    assert_eq!(
        origin(&config, &["providers", "voyage", "http_pool", "pool_timeout"]),
        "default"
    );
}

#[test]
fn without_a_file_the_keys_in_the_environment_make_the_providers() {
    assert_eq!(names(&without_file(&[])), ["local", "memory"]);
    let config = without_file(&[("VOYAGE_API_KEY", "k"), ("QDRANT_URL", "http://localhost:7333")]);
    assert_eq!(names(&config), ["local", "memory", "qdrant", "voyage"]);
    assert_eq!(
        config.config.providers["voyage"].secrets["api_key"].source,
        super::super::SecretSource::Env("VOYAGE_API_KEY".into())
    );
    assert_eq!(
        config.config.providers["qdrant"].config["base_url"].0,
        "http://localhost:7333"
    );
    assert_eq!(
        origin(&config, &["providers", "qdrant", "config", "base_url"]),
        "environment QDRANT_URL"
    );
}

#[test]
fn a_file_that_lists_providers_lists_all_that_need_a_key() {
    let config = configured("[providers.cohere]\n", &sources(&[("VOYAGE_API_KEY", "k")])).unwrap();
    assert_eq!(names(&config), ["cohere", "local", "memory"]);
}

#[test]
fn an_index_or_a_route_may_name_a_preset_that_has_no_table() {
    let text =
        "[providers.voyage]\n[index]\nstore = \"qdrant\"\n[routes.embeddings]\ndefault = [\"openai/m\", \"local\"]";
    let config = configured(text, &sources(&[])).unwrap();
    assert_eq!(names(&config), ["local", "memory", "openai", "qdrant", "voyage"]);
    let error = error("[index]\nstore = \"qdrannt\"");
    assert!(
        error.contains("weir.toml:2:9: index.store: no provider `qdrannt` is configured"),
        "{error}"
    );
}

#[test]
fn a_provider_by_another_name_says_its_component() {
    let config = configured(
        "[providers.fast]\ncomponent = \"voyage\"",
        &sources(&[("VOYAGE_API_KEY", "k")]),
    )
    .unwrap();
    let fast = &config.config.providers["fast"];
    assert_eq!(
        (fast.component.as_str(), fast.http_pool.max_connections.get()),
        ("voyage", 50)
    );
    assert!(fast.secrets.contains_key("api_key"));

    let alike = configured("[providers.llm]\ncomponent = \"ollama\"", &sources(&[])).unwrap();
    assert_eq!(alike.config.providers["llm"].component, "openai");

    assert!(error("[providers.voyag]").contains(
        "weir.toml:1:12: providers.voyag: `component` is missing, and `voyag` is no bundled provider; did you mean `voyage`?"
    ));
    assert!(error("[providers.x]\ncomponent = \"voyagee\"").contains("did you mean `voyage`?"));
}

#[test]
fn a_key_is_not_handed_to_another_address_by_itself() {
    let text = "[providers.tei]\ncomponent = \"openai\"\nconfig.base_url = \"https://tei.example.com/v1\"";
    let config = configured(text, &sources(&[("OPENAI_API_KEY", "k")])).unwrap();
    assert!(config.config.providers["tei"].secrets.is_empty());
}

#[test]
fn a_components_path_starts_at_the_files_folder() {
    let file = file::parse(
        Path::new("/etc/weir/weir.toml"),
        "[providers.mine]\ncomponent = \"./my.wasm\"".into(),
        &Environment::default(),
    )
    .unwrap();
    let config = effective(file, None, &sources(&[])).unwrap();
    assert_eq!(config.config.providers["mine"].component, "/etc/weir/./my.wasm");
}

#[test]
fn a_private_address_needs_a_grant_and_the_error_says_which() {
    let text = "[providers.voyage.config]\nbase_url = \"http://127.0.0.1:9000\"";
    assert_eq!(
        error(text),
        "weir.toml:2:12: providers.voyage.config.base_url: 127.0.0.1 is a private address, and provider `voyage` is not \
         granted it; to allow it, add `allow_private = [\"127.0.0.1/32\"]` under [providers.voyage.egress]\n \
         2 | base_url = \"http://127.0.0.1:9000\"\n   |            ^^^^^^^^^^^^^^^^^^^^^^^"
    );
    let granted = format!("{text}\n[providers.voyage.egress]\nallow_private = [\"127.0.0.1\"]");
    assert!(configured(&granted, &sources(&[])).is_ok());
    let by_variable = sources(&[(
        "WEIR_PROVIDERS__VOYAGE__EGRESS__ALLOW_PRIVATE",
        "10.0.0.0/8, 127.0.0.1/32",
    )]);
    let config = configured(text, &by_variable).unwrap();
    assert_eq!(config.config.providers["voyage"].egress.allow_private.len(), 2);
    assert!(configured("[providers.ollama]", &sources(&[])).is_ok());
}

#[test]
fn the_memory_store_is_resident_with_room() {
    let limits = &without_file(&[]).config.providers["memory"].limits;
    assert_eq!(limits.isolation, super::super::settings::Isolation::Resident);
    assert_eq!(limits.memory.0, 1 << 30);
    assert_eq!(limits.storage.0, 4 << 30);
}

#[test]
fn a_components_settings_are_texts_however_they_are_written() {
    let text = "[providers.voyage.config]\ndimensions = 512\ntruncate = true";
    let config = configured(text, &sources(&[("WEIR_PROVIDERS__VOYAGE__CONFIG__MODEL", "4")])).unwrap();
    let settings = &config.config.providers["voyage"].config;
    assert_eq!(settings["dimensions"].0, "512");
    assert_eq!(settings["truncate"].0, "true");
    assert_eq!(settings["model"].0, "4");
}

#[test]
fn one_secrets_source_replaces_another() {
    let text = "[providers.voyage.secrets]\napi_key = { file = \"key\" }";
    let config = configured(text, &sources(&[("VOYAGE_API_KEY", "k")])).unwrap();
    assert!(matches!(
        config.config.providers["voyage"].secrets["api_key"].source,
        super::super::SecretSource::File(_)
    ));
    assert!(
        error("[providers.voyage.secrets]\napi_key = { env = \"A\", file = \"b\" }").contains("found both"),
        "two sources for one secret"
    );
}

#[test]
fn a_secret_stays_bound_to_its_origins_wherever_it_is_kept() {
    let origins = "secrets.api_key.origins = [\"https://api.voyageai.com\"]";
    let text = format!("[providers.voyage]\n{origins}");
    let of_preset = configured(&text, &sources(&[("VOYAGE_API_KEY", "k")])).unwrap();
    let elsewhere = [("WEIR_PROVIDERS__VOYAGE__SECRETS__API_KEY__FILE", "/run/key")];
    let of_variable = configured(&text, &sources(&elsewhere)).unwrap();

    for config in [&of_preset, &of_variable] {
        let secret = &config.config.providers["voyage"].secrets["api_key"];
        let bound = secret.origins.as_ref().unwrap();
        assert_eq!(bound[0].0, "https://api.voyageai.com".parse().unwrap());
    }
    let source = &of_variable.config.providers["voyage"].secrets["api_key"].source;
    assert!(matches!(source, super::super::SecretSource::File(_)), "{source}");
    let server = error("[server]\napi_keys = [{ env = \"K\", origins = [] }]");
    assert!(server.contains("origins"), "callers' keys go nowhere: {server}");
}

#[test]
fn the_servers_key_may_come_from_its_variable() {
    let config = without_file(&[("WEIR_API_KEY", "k"), ("WEIR_DATA_DIR", "data")]);
    assert_eq!(
        config.config.server.api_keys[0].source,
        super::super::SecretSource::Env("WEIR_API_KEY".into())
    );
    assert_eq!(config.config.data_dir, Path::new("/srv/data"));
}

#[test]
fn a_server_for_others_needs_keys() {
    let open = configured("[server]\nlisten = \"0.0.0.0:80\"", &sources(&[]))
        .unwrap()
        .check_server()
        .unwrap_err();
    assert!(
        open.to_string()
            .starts_with("weir.toml:2:10: server.listen: without keys only a loopback address"),
        "{open}"
    );
    let keyed = configured("[server]\nlisten = \"0.0.0.0:80\"", &sources(&[("WEIR_API_KEY", "k")])).unwrap();
    assert!(keyed.check_server().is_ok());
}

#[test]
fn sparse_vectors_can_be_switched_off() {
    let config = configured("[index]\nsparse_embedding = \"none\"", &sources(&[])).unwrap();
    assert_eq!(config.config.index.sparse_embedding, None);
    assert_eq!(config.config.index.embedding, "local");
}

#[test]
fn an_operation_that_does_not_exist_is_refused() {
    let error = error("[providers.voyage.operations.embedd]\nread_timeout = 5");
    assert!(
        error.contains("weir.toml:1:30: providers.voyage.operations.embedd: there is no operation `embedd`"),
        "{error}"
    );
}

#[test]
fn a_password_in_a_proxys_url_is_never_shown() {
    let text = "[http_pool]\nproxy = \"http://ada:s3cret@proxy.example:3128\"\nno_proxy = [\".corp\", \"10.0.0.0/8\"]\n\
                [providers.voyage]\n";
    let environment = [("WEIR_PROVIDERS__VOYAGE__HTTP_POOL__PROXY", "socks5h://bob:hush@b:1080")];
    let config = configured(text, &sources(&environment)).unwrap();
    let shown = super::super::show::render(&config);
    assert!(
        shown.contains("proxy = \"http://(masked)@proxy.example:3128\"  # weir.toml:2\n"),
        "{shown}"
    );
    assert!(shown.contains("proxy = \"socks5h://(masked)@b:1080\""), "{shown}");
    let pool = &config.config.providers["voyage"].http_pool;
    let described = format!("{shown} {:?} {}", config.config, serde_json::to_string(pool).unwrap());
    for secret in ["s3cret", "ada:", "hush", "bob"] {
        assert!(!described.contains(secret), "{secret} is shown: {described}");
    }
}

#[test]
fn a_wrong_proxy_is_refused_and_not_repeated() {
    for wrong in [
        "proxy = \"ftp://ada:s3cret@proxy\"",
        "proxy = \"ada:s3cret@proxy:3128\"",
        "proxy = [\"http://ada:s3cret@proxy\"]",
        "proxxy = \"http://ada:s3cret@proxy\"",
        "porxi = \"http://ada:s3cret@there\"",
        "proxy = \"http://ada:s3cret@proxy",
    ] {
        let error = error(&format!("[http_pool]\n{wrong}"));
        assert!(!error.contains("s3cret"), "{error}");
        assert!(error.contains("weir.toml:2:"), "{error}");
    }
    let error = error_in("", &[("WEIR_HTTP_POOL__PROXY", "nonee")]);
    assert_eq!(
        error,
        "environment variable WEIR_HTTP_POOL__PROXY: http_pool.proxy: expected \"environment\", \"none\" or the URL of a \
         proxy, like \"http://proxy.example:3128\", with http, https, socks5 or socks5h, found a text"
    );
}

#[test]
fn what_a_pool_needs_together_is_given_together() {
    assert!(
        error("[http_pool]\nclient_cert = \"c.pem\"")
            .contains("http_pool.client_cert: a certificate needs its private key")
    );
    assert!(
        error("[providers.voyage.http_pool]\nclient_key = \"k.pem\"").contains("needs its certificate, `client_cert`")
    );
    assert!(error("[http_pool]\nno_proxy = [\"a\"]").contains("set the variable NO_PROXY"));
}

#[test]
fn a_provider_is_resilient_unless_it_is_told_otherwise() {
    let text = "[providers.voyage.resilience]\nmax_attempts = 1\nrequests_per_minute = 60\nbreaker = false\n\
                [providers.cohere]\n";
    let config = configured(
        text,
        &sources(&[("WEIR_PROVIDERS__VOYAGE__RESILIENCE__HEDGE_DELAY", "1.5")]),
    )
    .unwrap();
    let load = |name: &str| config.config.providers[name].pool_settings().unwrap().config.load;
    let voyage = load("voyage");
    assert!(voyage.retry.is_none() && voyage.breaker.is_none() && voyage.adaptive_concurrency.is_some());
    assert_eq!(voyage.rate.unwrap().requests_per_minute.unwrap().get(), 60);
    assert_eq!(voyage.hedge.unwrap().after.as_millis(), 1_500);
    assert_eq!(load("cohere").retry.unwrap().max_tries.get(), 4);
    assert_eq!(
        origin(&config, &["providers", "cohere", "resilience", "max_attempts"]),
        "default"
    );

    let error = error("[providers.voyage.resilience]\nmax_attemps = 2");
    assert!(error.contains("did you mean `max_attempts`?"), "{error}");
    let error = error_in("[providers.voyage.resilience]\nmax_attempts = 0", &[]);
    assert!(
        error.contains("expected a whole number above 0, found the number 0"),
        "{error}"
    );
    let error = error_in("[providers.voyage.resilience]\nhealth_probe = \"/up\"", &[]);
    assert!(error.contains("a path needs a `base_url`"), "{error}");
    assert!(
        configured(
            "[providers.qdrant.resilience]\nhealth_probe = \"/healthz\"",
            &sources(&[])
        )
        .is_ok()
    );
}

#[test]
fn the_operators_own_deadlines_and_identity_reach_the_pool() {
    let text = "max_sockets = 40\n[http_pool]\nhttp2_prior_knowledge = true\ndecompress = false\n\
                max_concurrent_requests = 7\nca_file = \"nowhere.pem\"\n[providers.voyage.operations.embed]\n\
                read_timeout = 9\n[providers.cohere.http_pool]\nproxy = \"none\"\n";
    let mut config = configured(text, &sources(&[("WEIR_MAX_SOCKETS", "50")]))
        .unwrap()
        .config;
    assert_eq!(config.max_sockets.unwrap().get(), 50);
    let voyage = config.providers.get_mut("voyage").unwrap();
    let error = voyage.pool_settings().unwrap_err().to_string();
    assert!(error.contains("nowhere.pem"), "{error}");
    voyage.http_pool.ca_file = None;
    let pool = voyage.pool_settings().unwrap().config;
    assert!(pool.http2_prior_knowledge && !pool.decompress);
    assert_eq!(pool.max_concurrent_requests.unwrap().get(), 7);
    assert_eq!(pool.operations["embed"].read.unwrap().as_secs(), 9);
    assert_eq!(
        config.providers["cohere"].http_pool.proxies().unwrap(),
        weir_pool::Proxies::none()
    );
}

#[test]
fn the_effective_settings_show_origins_and_no_secret() {
    let text = "[http_pool]\nmax_connections = 20\n[providers.voyage.config]\nbase_url = \"https://${NAME}.example.com\"\n\
                api_token = \"t-1\"\n";
    let environment = [("VOYAGE_API_KEY", "pa-secret"), ("NAME", "hidden")];
    let config = configured(text, &sources(&environment)).unwrap();
    let shown = super::super::show::render(&config);

    assert!(shown.starts_with("# weir.toml\n"), "{shown}");
    assert!(
        shown.contains("[http_pool]\nconnect_timeout = 10.0               # default\n"),
        "{shown}"
    );
    assert!(
        shown.contains("max_connections = 20                 # weir.toml:2\n"),
        "{shown}"
    );
    assert!(
        shown.contains("api_key = { env = \"VOYAGE_API_KEY\" }  # preset voyage\n"),
        "{shown}"
    );
    assert!(
        shown.contains("base_url = \"https://${NAME}.example.com\"  # weir.toml:4\n"),
        "{shown}"
    );
    assert!(shown.contains("api_token = \"(masked)\""), "{shown}");
    for secret in ["pa-secret", "hidden", "t-1"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[test]
fn the_schema_describes_every_table() {
    let schema = super::super::json_schema();
    let tables: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        tables,
        [
            "cache_dir",
            "data_dir",
            "http_pool",
            "index",
            "max_sockets",
            "providers",
            "routes",
            "server"
        ]
    );
    assert_eq!(schema["additionalProperties"], false);
}
