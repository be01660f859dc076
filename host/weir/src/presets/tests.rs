//! What presets make of an environment.

use super::*;

fn at<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n str> {
    node.get(keys).and_then(Node::text)
}

#[test]
fn the_first_variable_that_is_set_holds_the_key() {
    let cohere = find("cohere").unwrap();
    let environment = Environment::from_iter([("CO_API_KEY", "k"), ("CO_API_URL", "https://eu.example.com")]);
    let settings = cohere.settings(&environment, true);
    assert_eq!(at(&settings, &["secrets", "api_key", "env"]), Some("CO_API_KEY"));
    assert_eq!(at(&settings, &["config", "base_url"]), Some("https://eu.example.com"));
    assert!(matches!(
        settings.get(&["config", "base_url"]).unwrap().origin,
        Origin::Environment(ref name) if name == "CO_API_URL"
    ));
}

#[test]
fn a_preset_brings_its_pool_and_nothing_that_is_usual() {
    let settings = find("voyage").unwrap().settings(&Environment::default(), true);
    let pool = settings.get(&["http_pool"]).unwrap().table().unwrap();
    assert_eq!(pool.keys().collect::<Vec<_>>(), ["max_connections", "read_timeout"]);
    assert!(settings.get(&["secrets"]).is_none());
}

#[test]
fn an_atlas_key_goes_to_its_own_address() {
    let environment = Environment::from_iter([("VOYAGE_API_KEY", "al-123")]);
    let settings = find("voyage").unwrap().settings(&environment, true);
    assert_eq!(
        at(&settings, &["config", "base_url"]),
        Some("https://ai.mongodb.com/v1")
    );
}

#[test]
fn an_address_that_is_given_holds_over_that_of_a_key() {
    let base_url = |variables: &[(&str, &str)]| {
        let settings = find("chroma")
            .unwrap()
            .settings(&Environment::from_iter(variables.iter().copied()), true);
        at(&settings, &["config", "base_url"]).map(str::to_owned)
    };
    let key = ("CHROMA_API_KEY", "ck-1");
    assert_eq!(base_url(&[key]).as_deref(), Some("https://api.trychroma.com"));
    let given = ("CHROMA_URL", "https://chroma.example.com");
    assert_eq!(base_url(&[key, given]).as_deref(), Some(given.1));
    assert_eq!(base_url(&[]).as_deref(), Some("http://localhost:8000"));
}

#[test]
fn a_servers_address_and_model_come_from_its_own_variables() {
    let heroku = find("heroku").unwrap();
    for url in ["https://eu.inference.heroku.com", "https://eu.inference.heroku.com/v1/"] {
        let variables = [
            ("INFERENCE_KEY", "k"),
            ("INFERENCE_URL", url),
            ("INFERENCE_MODEL_ID", "claude-4-sonnet"),
        ];
        let settings = heroku.settings(&Environment::from_iter(variables), true);
        assert_eq!(
            at(&settings, &["config", "base_url"]),
            Some("https://eu.inference.heroku.com/v1")
        );
        assert_eq!(at(&settings, &["config", "chat_model"]), Some("claude-4-sonnet"));
        assert_eq!(at(&settings, &["secrets", "api_key", "env"]), Some("INFERENCE_KEY"));
    }
}

#[test]
fn each_preset_has_a_name_of_its_own() {
    let mut names = names();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), PRESETS.len());
}

#[test]
fn a_provider_with_several_secrets_has_those_that_are_set() {
    let bedrock = find("bedrock").unwrap();
    let environment = Environment::from_iter([("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let settings = bedrock.settings(&environment, true);
    let secrets = settings.get(&["secrets"]).unwrap().table().unwrap();
    assert_eq!(
        secrets.keys().collect::<Vec<_>>(),
        ["access_key_id", "secret_access_key"]
    );
    assert_eq!(
        at(&settings, &["secrets", "access_key_id", "env"]),
        Some("AWS_ACCESS_KEY_ID")
    );
    assert_eq!(bedrock.variables_of("session_token"), ["AWS_SESSION_TOKEN"]);
    assert!(bedrock.settings(&environment, false).get(&["secrets"]).is_none());
}

#[test]
fn an_address_follows_from_the_region() {
    let bedrock = find("bedrock").unwrap();
    let address = |variables: &[(&str, &str)], set: &[(&str, &str)]| {
        let mut settings = bedrock.settings(&Environment::from_iter(variables.iter().copied()), true);
        for (key, value) in set {
            let node = Node::new(Value::Text((*value).to_owned()), "", Origin::Default);
            settings.set(&["config", key], node);
        }
        bedrock.complete(&mut settings);
        at(&settings, &["config", "base_url"]).unwrap().to_owned()
    };
    assert_eq!(address(&[], &[]), "https://bedrock-runtime.us-east-1.amazonaws.com");
    let variables = [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "eu-west-3")];
    assert_eq!(
        address(&variables, &[]),
        "https://bedrock-runtime.eu-west-3.amazonaws.com"
    );
    assert_eq!(
        address(&variables, &[("region", "us-west-2")]),
        "https://bedrock-runtime.us-west-2.amazonaws.com"
    );
    assert_eq!(address(&variables, &[("base_url", "http://a")]), "http://a");
    let endpoint = [("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://b")];
    assert_eq!(address(&endpoint, &[]), "http://b");

    let mut settings = bedrock.settings(&Environment::from_iter([("AWS_REGION", "eu-west-3")]), true);
    bedrock.complete(&mut settings);
    assert_eq!(
        at(&settings, &["config", "control_base_url"]),
        Some("https://bedrock.eu-west-3.amazonaws.com")
    );
    // Another address is another for all.
    let mut settings = bedrock.settings(&Environment::from_iter(endpoint), true);
    bedrock.complete(&mut settings);
    assert_eq!(at(&settings, &["config", "control_base_url"]), None);
}

#[test]
fn the_environment_tells_which_presets_are_wanted() {
    let wanted = |variables: &[(&str, &str)]| -> Vec<&str> {
        let environment = Environment::from_iter(variables.iter().copied());
        PRESETS
            .iter()
            .filter(|preset| preset.is_in(&environment))
            .map(|preset| preset.name)
            .collect()
    };
    assert_eq!(wanted(&[("VOYAGE_API_KEY", "k"), ("OPENAI_API_KEY", "")]), ["voyage"]);
    assert_eq!(wanted(&[("QDRANT_URL", "http://localhost:6333")]), ["qdrant"]);
    assert_eq!(
        wanted(&[("GEMINI_API_KEY", "k"), ("ANTHROPIC_API_KEY", "k")]),
        ["google", "anthropic"]
    );
    assert_eq!(wanted(&[("AWS_BEARER_TOKEN_BEDROCK", "k")]), ["bedrock"]);
    assert_eq!(wanted(&[("AWS_REGION", "eu-west-1")]), Vec::<&str>::new());
    // An address without a key is of no use where the provider wants one.
    assert_eq!(
        wanted(&[("OPENAI_BASE_URL", "https://gateway.example")]),
        Vec::<&str>::new()
    );
}
