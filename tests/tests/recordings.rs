//! What providers really answered gives the result it holds, or their error in their words, however it is cut.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::Value;
use weir_tests::recordings::{self, Auth, Case, Expected, Player, Recording, Sent, formats};
use weir_tests::{Program, Server};

const KEY: &str = "a-key-for-recordings";

/// A provider's table that one recording after another is played to.
struct Stage {
    name: String,
    preset: String,
    base: String,
    settings: String,
    recordings: Vec<(Arc<Recording>, Case)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_answer_gives_its_result_or_its_error() {
    let folder = match recordings::folder() {
        Ok(folder) => folder,
        Err(absent) => return println!("NOTHING WAS TRIED: {absent}"),
    };
    let mut left_out = Vec::new();
    let mut stages: BTreeMap<(String, String, String, String), Stage> = BTreeMap::new();
    let mut known = BTreeMap::new();
    for read in recordings::all(&folder).unwrap() {
        let recording = match read {
            Ok(recording) => recording,
            Err(reason) => {
                left_out.push(format!("{reason:#}"));
                continue;
            }
        };
        let preset = formats::preset(&recording).to_owned();
        if !*known.entry(preset.clone()).or_insert_with(|| is_there(&preset)) {
            left_out.push(format!("{}: no provider `{preset}`", recording.name));
            continue;
        }
        match formats::case(&recording) {
            Ok(case) => {
                let next = format!("stage{}", stages.len());
                // What it says of a quota is heeded, and would hold up those that follow.
                let alone = if recording.tells_of_a_quota() {
                    recording.name.clone()
                } else {
                    String::new()
                };
                let key = (preset.clone(), case.base.clone(), case.settings.clone(), alone);
                let stage = stages.entry(key).or_insert_with(|| Stage {
                    name: next,
                    preset,
                    base: case.base.clone(),
                    settings: case.settings.clone(),
                    recordings: Vec::new(),
                });
                stage.recordings.push((Arc::new(recording), case));
            }
            Err(reason) => left_out.push(format!("{}: {reason}", recording.name)),
        }
    }
    let absent: Vec<_> = known
        .iter()
        .filter(|(_, is_there)| !**is_there)
        .map(|(name, _)| name)
        .collect();
    assert!(absent.is_empty(), "there is no provider {absent:?}");

    let player = Player::start().await.unwrap();
    let config: String = stages.values().map(|stage| table(stage, &player)).collect();
    let program = Program::with_config(&config).unwrap().env("REPLAY_KEY", KEY);
    let server = Server::start(&program).unwrap();
    let outcomes: Vec<Vec<String>> = futures::stream::iter(stages.values())
        .map(|stage| play(stage, &player, &server))
        .buffer_unordered(4)
        .collect()
        .await;

    let (mut report, mut failures) = (String::new(), 0);
    let mut rows: Vec<String> = outcomes.into_iter().flatten().collect();
    rows.sort();
    for row in &rows {
        writeln!(report, "{row}").unwrap();
        failures += usize::from(row.contains("FAILED"));
    }
    for reason in &left_out {
        writeln!(report, "left out: {reason}").unwrap();
    }
    println!("{report}{} replayed, {} left out", rows.len(), left_out.len());
    assert_eq!(failures, 0, "{report}");
}

/// Whether a provider of this name can be configured.
fn is_there(preset: &str) -> bool {
    let config = format!("[providers.x]\ncomponent = \"{preset}\"\n");
    let checked = Program::with_config(&config).unwrap().run(["config", "check"]).unwrap();
    checked.status == Some(0)
}

fn table(stage: &Stage, player: &Player) -> String {
    format!(
        "[providers.{}]\ncomponent = \"{}\"\nconfig.base_url = \"{}{}\"\nsecrets.api_key = {{ env = \"REPLAY_KEY\" }}\n\
         egress.allow_private = [\"127.0.0.1/32\"]\nresilience.max_attempts = 1\nresilience.breaker = false\n{}\n",
        stage.name,
        stage.preset,
        player.url(&stage.name),
        stage.base,
        stage.settings,
    )
}

/// Plays each of a stage's recordings and tells what became of it, a row each.
async fn play(stage: &Stage, player: &Player, server: &Server) -> Vec<String> {
    let mut rows = Vec::new();
    for (recording, case) in &stage.recordings {
        let outcome = match replay(stage, recording, case, player, server).await {
            Ok(()) => match case.expected {
                Expected::Result(_) => "its result".to_owned(),
                Expected::Refusal(ref refusal) => format!("its error, {}", refusal.kind),
                Expected::Malformed => "of another API: refused as malformed".to_owned(),
            },
            Err(difference) => format!("FAILED: {difference}"),
        };
        rows.push(format!("{} ({}): {outcome}", recording.name, case.operation));
    }
    rows
}

async fn replay(
    stage: &Stage,
    recording: &Arc<Recording>,
    case: &Case,
    player: &Player,
    server: &Server,
) -> Result<(), String> {
    let is_refused = !recording.is_success() || matches!(case.expected, Expected::Malformed);
    if !case.streams || is_refused {
        player.play(&stage.name, recording.clone(), None);
        let found = call(stage, case, false, server).await?;
        // A whole answer has another path, with some.
        if !case.streams {
            sent_as_recorded(stage, case, recording, &player.sent(&stage.name))?;
        }
        expect(&case.expected, found.first().unwrap_or(&Value::Null))?;
    }
    if !case.streams {
        return Ok(());
    }
    let mut first: Option<Vec<Value>> = None;
    let pieces = [None, Some(64), Some(7), Some(2), Some(1)];
    for piece in pieces.into_iter().filter(|piece| comes_in_time(recording, *piece)) {
        player.play(&stage.name, recording.clone(), piece);
        let events = call(stage, case, true, server).await?;
        sent_as_recorded(stage, case, recording, &player.sent(&stage.name))?;
        expect(&case.expected, &recordings::case::whole(&events))?;
        // How texts are cut into events is the provider's to say, not the network's.
        let expected = first.get_or_insert_with(|| events.clone());
        if *expected != events {
            return Err(format!(
                "in pieces of {piece:?} bytes: {events:?}\ninstead of {expected:?}"
            ));
        }
    }
    Ok(())
}

/// Whether a guest that is given so many pieces, one at a time, has done before its processor time is up.
fn comes_in_time(recording: &Recording, piece: Option<usize>) -> bool {
    const MOST: usize = 20_000;
    piece.is_none_or(|size| recording.body.len() / size <= MOST)
}

/// The answer, or each of its events.
async fn call(stage: &Stage, case: &Case, streamed: bool, server: &Server) -> Result<Vec<Value>, String> {
    let mut input = case.input.clone();
    if streamed {
        input["stream"] = true.into();
    }
    let path = format!("/v1/providers/{}/{}", stage.name, case.operation);
    let answer = server
        .post_raw(&path, input)
        .await
        .map_err(|error| format!("{error:#}"))?;
    let lines = answer
        .body()
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
        .collect()
}

fn expect(expected: &Expected, found: &Value) -> Result<(), String> {
    let difference = match expected {
        Expected::Result(result) => match found.get("error") {
            Some(error) => Some(error.to_string()),
            None => recordings::case::difference("", result, found),
        },
        Expected::Refusal(refusal) => recordings::refusal::difference(refusal, &found["error"]),
        Expected::Malformed => (found["error"]["kind"] != "malformed-response").then(|| found.to_string()),
    };
    difference.map_or(Ok(()), Err)
}

/// The inputs of one request in any recording but that of a list which Mistral refuses as too long.
const MOST_INPUTS: usize = 256;

/// One request, to the recorded path, with the key where the provider looks for it.
fn sent_as_recorded(stage: &Stage, case: &Case, recording: &Recording, sent: &[Sent]) -> Result<(), String> {
    // The others looked whether there was something to change.
    let counts = |sent: &&Sent| recording.method.is_empty() || sent.method == recording.method;
    let sent: Vec<&Sent> = sent.iter().filter(counts).collect();
    // What is over the provider's limit goes in parts: one recording is of a list that shows where it lies.
    let inputs = case.input["inputs"].as_array().map_or(1, Vec::len);
    let [sent, parts @ ..] = &sent[..] else {
        return Err("no request".to_owned());
    };
    if parts.len() >= inputs.div_ceil(MOST_INPUTS).max(1) {
        return Err(format!("{} requests for {inputs} inputs", 1 + parts.len()));
    }
    if let Some(target) = &case.target {
        let target = format!("{}{target}", stage.base);
        if (&sent.method, &sent.target) != (&recording.method, &target) {
            return Err(format!(
                "{} {} instead of {} {target}",
                sent.method, sent.target, recording.method
            ));
        }
    }
    let shown = match case.auth {
        Auth::Bearer => sent.header("authorization") == Some(&format!("Bearer {KEY}")),
        Auth::Header(name) => sent.header(name) == Some(KEY) && sent.header("authorization").is_none(),
        Auth::AwsSigV4 => sent
            .header("authorization")
            .is_some_and(|shown| shown.starts_with("AWS4-HMAC-SHA256 ")),
    };
    if shown {
        Ok(())
    } else {
        Err(format!("the key is not shown as {:?}", case.auth))
    }
}
