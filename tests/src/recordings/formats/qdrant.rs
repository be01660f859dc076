//! Qdrant's API, as far as an operation is one request of it.

use serde_json::{Value, json};

use super::super::{Auth, Case, Expected, Recording};
use super::case_of;

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let path = recording.path.as_deref().unwrap_or_default();
    let below = path.strip_prefix("/collections").ok_or("no operation asks for it")?;
    let (collection, below) = match below.strip_prefix('/') {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("", below),
    };
    let answer = recording.answer();
    let result = &answer["result"];
    let (operation, mut input, result) = match (recording.method.as_str(), below) {
        ("GET", "") if collection.is_empty() => ("list-collections", json!({}), listed(result)),
        ("DELETE", "") => ("drop-collection", json!({}), json!({ "dropped": result })),
        ("POST", "points/query") => ("query", json!({ "vector": [1.0, 0.5] }), found(result)),
        ("POST", "points/count") => ("count", json!({}), json!({ "count": result["count"] })),
        ("POST", "points/delete") => ("delete", json!({ "ids": [1] }), json!({})),
        ("PUT", "points") => {
            let points = json!([{ "id": 1, "vector": [1.0, 0.5] }]);
            ("upsert", json!({ "points": points }), json!({ "upserted": 1 }))
        }
        _ => return Err("no operation asks for it".to_owned()),
    };
    if !matches!(answer["result"]["status"].as_str(), None | Some("completed")) {
        return Err("the adapter waits for what it writes".to_owned());
    }
    if !collection.is_empty() {
        input["collection"] = collection.into();
    }
    let mut case = case_of(recording, operation, path, input, result);
    // The query, which says whether to wait, is the adapter's to choose.
    case.target = case
        .target
        .filter(|target| !target.contains('?') && !matches!(operation, "upsert" | "delete"));
    // A score beyond a 32-bit float is written as null.
    let mut points = answer["result"]["points"].as_array().into_iter().flatten();
    if operation == "query" && points.any(|point| point["score"].is_null()) {
        case.expected = Expected::Malformed;
    }
    case.auth = Auth::Header("api-key");
    if recording.status == 429 {
        // A provider that asks to wait is not asked again until then.
        case.settings = format!("# {}\n", recording.name);
        if let (Expected::Refusal(refusal), None) = (&mut case.expected, recording.header("retry-after")) {
            refusal.kind = "too-large";
        }
    }
    Ok(case)
}

fn listed(result: &Value) -> Value {
    let collections = result["collections"].as_array().into_iter().flatten();
    json!({ "collections": collections.map(|item| &item["name"]).collect::<Vec<_>>() })
}

fn found(result: &Value) -> Value {
    let points = result["points"].as_array().into_iter().flatten();
    let point = |point: &Value| {
        let mut found = json!({ "id": point["id"], "score": point["score"] });
        if point["payload"].is_object() {
            found["payload"] = point["payload"].clone();
        }
        found
    };
    json!({ "points": points.map(point).collect::<Vec<_>>() })
}
