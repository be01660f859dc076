//! What the adapters send: as the providers' own documents describe it, and as the providers' own clients send it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

mod difference;
mod differences;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use differences::{DEPARTURES, DIFFERENCES};
use serde_json::{Value, json};
use weir_tests::calls::{self, APIS, Call};
use weir_tests::recordings::{Player, Recording, Sent};
use weir_tests::{Finished, Program, Server, repository};

const KEY: &str = "a-key-of-requests";

/// What came of each call, by its name.
type Requests = BTreeMap<String, Vec<Sent>>;

/// What `weir serve` sends for each of the calls.
async fn sent_by_weir(player: &Player, calls: &[Call]) -> Requests {
    let config: String = APIS.iter().map(|api| api.table(player)).collect();
    let program = Program::with_config(&config).unwrap().env("A_KEY", KEY);
    let server = Server::start(&program).unwrap();
    let mut requests = Requests::new();
    for call in calls {
        refuse(player, call.api.name, call);
        let path = format!("/v1/providers/{}/{}", call.api.name, call.operation);
        let answer = server.post_raw(&path, call.input.clone()).await.unwrap();
        let sent = without_version(player.sent(call.api.name));
        assert!(!sent.is_empty(), "{} sent nothing: {answer:?}", call.name());
        requests.insert(call.name(), sent);
    }
    requests
}

/// Without the question for the server's version.
fn without_version(mut sent: Vec<Sent>) -> Vec<Sent> {
    sent.retain(|sent| sent.target != "/");
    sent
}

/// Has every request of a stage refused: what looks for something does not find it, and nothing more is sent than what
/// was asked for. But for what Chroma's are to find on their way.
fn refuse(player: &Player, stage: &str, call: &Call) {
    let of_chroma = (call.api.name == "chroma").then_some(call.operation);
    let refusal = move |sent: &Sent| {
        let (method, target) = (sent.method.as_str(), sent.target.as_str());
        if let Some(found) = of_chroma.and_then(|operation| found_in_chroma(operation, method, target)) {
            return Arc::new(Recording::of_json(200, &found.to_string()));
        }
        Arc::new(match (method, target) {
            // The version of the document, by which Qdrant's adapter chooses a word.
            ("GET", "/") => Recording::of_json(200, r#"{"version": "1.19.0"}"#),
            ("GET", _) => Recording::of_json(404, r#"{"message": "refused"}"#),
            _ => Recording::of_json(401, r#"{"message": "refused", "detail": {"error": "refused"}}"#),
        })
    };
    player.answer_with(stage, Arc::new(refusal), None);
}

/// What is looked up in Chroma before an operation: by the client who is asking and what the server takes, by both the
/// collection's id, by the adapter what an upsert replaces. A collection that is to be made is not there.
fn found_in_chroma(operation: &str, method: &str, target: &str) -> Option<Value> {
    let id = "6652c4f3-440e-4629-8d6b-9c2360117db0";
    Some(match (method, target.strip_prefix("/api/v2")?) {
        ("GET", "/auth/identity") => {
            json!({ "user_id": "", "tenant": "default_tenant", "databases": ["default_database"] })
        }
        // Vectors as lists, as the adapter writes them; else the client sends the same ones in base64.
        ("GET", "/pre-flight-checks") => json!({ "max_batch_size": 300, "supports_base64_encoding": false }),
        ("GET", "/tenants/default_tenant") => json!({ "name": "default_tenant" }),
        ("GET", "/tenants/default_tenant/databases/default_database") => {
            json!({ "id": id, "name": "default_database", "tenant": "default_tenant" })
        }
        ("GET", "/tenants/default_tenant/databases/default_database/collections/docs")
            if operation != "ensure-collection" =>
        {
            json!({
                "id": id, "name": "docs", "tenant": "default_tenant", "database": "default_database",
                "configuration_json": { "hnsw": { "space": "cosine" } },
                "metadata": null, "dimension": null, "version": 0, "log_position": 0,
            })
        }
        ("POST", below) if operation == "upsert" && below.ends_with("/get") => {
            json!({ "ids": [], "metadatas": [] })
        }
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_one_that_the_providers_document_describes() {
    let Some(folder) = std::env::var_os("WEIR_SPECS") else {
        return println!("NOTHING WAS TRIED: WEIR_SPECS names no folder of the providers' documents");
    };
    let player = Player::start().await.unwrap();
    let calls: Vec<Call> = calls::all()
        .into_iter()
        .filter(|call| call.api.document.is_some())
        .collect();
    let requests = sent_by_weir(&player, &calls).await;

    let (mut of_call, mut judged) = (Vec::new(), Vec::new());
    for call in &calls {
        let (file, left_out) = call.api.document.unwrap();
        for sent in &requests[&call.name()] {
            of_call.push(call);
            judged.push(json!({
                "file": file, "left_out": left_out, "method": sent.method, "target": sent.target,
                "content_type": sent.header("content-type"), "body": String::from_utf8_lossy(&sent.body),
            }));
        }
    }
    let departures = departures(&folder, &judged.into());

    let (mut report, mut met) = (String::new(), BTreeSet::new());
    for (call, departures) in of_call.iter().zip(&departures) {
        let (file, _) = call.api.document.unwrap();
        for departure in departures {
            match DEPARTURES.iter().position(|known| known.is(file, departure)) {
                Some(known) => drop(met.insert(known)),
                None => writeln!(report, "{}: {departure}", call.name()).unwrap(),
            }
        }
    }
    for (at, known) in DEPARTURES.iter().enumerate() {
        if !met.contains(&at) {
            writeln!(report, "no longer met: {known:?}").unwrap();
        }
    }
    println!("{} requests against the providers' own documents", departures.len());
    assert!(report.is_empty(), "\n{report}");
}

/// What each of the requests departs in from its document.
fn departures(folder: &OsStr, requests: &Value) -> Vec<Vec<String>> {
    let judge = repository().join("tests/specs/target/debug/weir-specs");
    assert!(
        judge.exists(),
        "{} is not there; run `just build-specs`",
        judge.display()
    );
    serde_json::from_value(told(Command::new(judge).arg(folder), requests)).unwrap()
}

/// What a program answers to this as JSON.
fn told(program: &mut Command, input: &Value) -> Value {
    let mut program = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program
        .stdin
        .take()
        .unwrap()
        .write_all(input.to_string().as_bytes())
        .unwrap();
    Finished::from(program.wait_with_output().unwrap())
        .success()
        .unwrap()
        .json()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_the_one_that_the_providers_own_client_sends() {
    let player = Player::start().await.unwrap();
    let calls: Vec<Call> = calls::all();
    let ours = sent_by_weir(&player, &calls).await;
    let theirs = sent_by_clients(&player, &calls);

    let (mut report, mut met, mut compared) = (String::new(), BTreeSet::new(), 0);
    for call in &calls {
        let name = call.name();
        let Some(theirs) = theirs.get(&name) else { continue };
        let (ours, theirs) = (asked(call, &ours[&name]), asked(call, theirs));
        let ([ours], [theirs]) = (&ours[..], &theirs[..]) else {
            writeln!(
                report,
                "{name}: {} requests, {} of the client's",
                ours.len(),
                theirs.len()
            )
            .unwrap();
            continue;
        };
        compared += 1;
        for found in difference::between(ours, theirs) {
            match DIFFERENCES.iter().position(|known| known.is(call, &found)) {
                Some(known) => drop(met.insert(known)),
                None => writeln!(report, "{name}: {found}").unwrap(),
            }
        }
    }
    for (at, known) in DIFFERENCES.iter().enumerate() {
        if !met.contains(&at) {
            writeln!(report, "no longer met: {known:?}").unwrap();
        }
    }
    println!(
        "{compared} of {} calls compared with the providers' own clients",
        calls.len()
    );
    assert!(report.is_empty(), "\n{report}");
}

/// Those of a call's requests that do what was asked: not those that look something up.
fn asked<'a>(call: &Call, sent: &'a [Sent]) -> Vec<&'a Sent> {
    let model = call.input["model"].as_str().unwrap_or_default();
    match (call.api.name, call.operation) {
        ("chroma", _) => sent.last().into_iter().collect(),
        // Titan takes one text a request: by the refusal of the first, that of the second is on its way or not.
        ("bedrock", "embed") if model.starts_with("amazon.titan") => sent.first().into_iter().collect(),
        (_, "ensure-collection") => sent.iter().filter(|sent| sent.method == "PUT").collect(),
        _ => sent.iter().collect(),
    }
}

/// What the clients of tests/python/requirements.txt send for the calls, asked for the same.
fn sent_by_clients(player: &Player, calls: &[Call]) -> Requests {
    let stage = |at: usize| format!("client{at}");
    let asked: Vec<Value> = calls
        .iter()
        .enumerate()
        .map(|(at, call)| {
            refuse(player, &stage(at), call);
            json!({
                "api": call.api.name, "operation": call.operation, "input": call.input, "key": KEY,
                "url": player.url(&stage(at)),
            })
        })
        .collect();
    let python = repository().join("target/python/bin/python");
    assert!(
        python.exists(),
        "{} is not there; run `just python-clients`",
        python.display()
    );
    let script = repository().join("tests/python/provider_sdks.py");
    let told = told(Command::new(python).arg(script).env_clear(), &asked.into());

    let mut requests = Requests::new();
    for (at, call) in calls.iter().enumerate() {
        // No client of the provider's, or none that does this.
        if told[at].is_null() {
            continue;
        }
        let sent = player.sent(&stage(at));
        assert!(
            !sent.is_empty(),
            "{}: the client sent nothing: {}",
            call.name(),
            told[at]
        );
        requests.insert(call.name(), sent);
    }
    requests
}
