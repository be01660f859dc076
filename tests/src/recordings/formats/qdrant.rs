//! Qdrant's REST API, as far as the operations of a vector store need it.
//!
//! | asked for | by |
//! |---|---|
//! | `GET /collections` | `list-collections` |
//! | `GET`, `PUT /collections/C` | `ensure-collection` |
//! | `DELETE /collections/C` | `drop-collection` |
//! | `PUT /collections/C/points` | `upsert` |
//! | `POST /collections/C/points/query`, `/delete`, `/count` | `query`, `delete`, `count` |
//! | `GET /` | a filter that has `contains`, for the version |
//!
//! Every answer to one of these is played, whatever it is, but for the 409 of a collection that was made in the
//! meantime, which takes several answers (`tests/qdrant_engine.rs`), and the version, which is no operation's result.

use serde_json::{Value, json};

use super::super::{Auth, Case, Expected, Recording, Refusal};
use super::{case_of, first};

/// The vector that the adapter gives every point.
const DENSE: &str = "dense";

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let answer = recording.answer();
    let Some(path) = recording.path.as_deref() else {
        return answered(recording, &answer["result"]);
    };
    let mut parts = path.trim_start_matches('/').splitn(3, '/');
    let (root, collection) = (parts.next(), parts.next().filter(|name| !name.is_empty()));
    let rest = parts.next().unwrap_or_default();
    if root != Some("collections") {
        return Err(format!("no operation asks for `{} {path}`", recording.method));
    }
    let result = &answer["result"];
    let mut case = match (recording.method.as_str(), collection, rest) {
        ("GET", None, "") => case_of(recording, "list-collections", path, json!({}), collections(result)),
        ("DELETE", Some(name), "") => {
            let dropped = json!({ "dropped": result });
            case_of(
                recording,
                "drop-collection",
                path,
                json!({ "collection": name }),
                dropped,
            )
        }
        ("PUT", Some(name), "") if recording.status != 409 => {
            let input = json!({ "collection": name, "dimensions": 4 });
            case_of(recording, "ensure-collection", path, input, json!({ "created": true }))
        }
        ("PUT", Some(_), "") => return Err("another made the collection: takes several answers".to_owned()),
        ("GET", Some(_), "") if recording.status == 404 => {
            return Err("the collection is not there: the adapter goes on to make it".to_owned());
        }
        ("GET", Some(name), "") => known_collection(recording, path, name, result),
        ("PUT", Some(name), "points") => {
            let points = json!([{ "id": 1, "vector": [1.0, 0.0, 0.0, 0.0], "payload": {} }]);
            let input = json!({ "collection": name, "points": points });
            completed(recording, "upsert", path, input, json!({ "upserted": 1 }), result)
        }
        ("POST", Some(name), "points/delete") => {
            let input = json!({ "collection": name, "ids": [1] });
            completed(recording, "delete", path, input, json!({}), result)
        }
        ("POST", Some(name), "points/count") => {
            let count = json!({ "count": result["count"] });
            case_of(recording, "count", path, json!({ "collection": name }), count)
        }
        ("POST", Some(name), "points/query") => found(recording, path, name, &result["points"]),
        (method, _, rest) => return Err(format!("no operation asks for `{method} …/{}`", without_ids(rest))),
    };
    // The adapter waits for changes, and has no other parameter.
    let waits = matches!(case.operation, "upsert" | "delete");
    case.target = Some(path.to_owned() + if waits { "?wait=true" } else { "" });
    // As a name, not as a part of a path.
    if let Some(name) = collection {
        case.input["collection"] = unescaped(name).into();
    }
    case.auth = Auth::Header("api-key");
    Ok(case)
}

/// An answer without its request.
fn answered(recording: &Recording, result: &Value) -> Result<Case, String> {
    let mut case = if result["collections"].is_array() {
        case_of(recording, "list-collections", "", json!({}), collections(result))
    } else if result.is_boolean() {
        let input = json!({ "collection": "c" });
        case_of(recording, "drop-collection", "", input, json!({ "dropped": result }))
    } else {
        return Err("no operation has such an answer".to_owned());
    };
    case.auth = Auth::Header("api-key");
    Ok(case)
}

fn collections(result: &Value) -> Value {
    let names = result["collections"].as_array().into_iter().flatten();
    json!({ "collections": names.map(|collection| collection["name"].clone()).collect::<Vec<_>>() })
}

/// `points/7` as `points/{id}`.
fn without_ids(path: &str) -> String {
    let is_id = |part: &&str| part.starts_with(|first: char| first.is_ascii_digit()) || *part == "abc";
    let parts = path.split('/').map(|part| if is_id(&part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn known_collection(recording: &Recording, path: &str, name: &str, result: &Value) -> Case {
    let params = &result["config"]["params"];
    let dense = &params["vectors"][DENSE];
    let asked = json!({ "collection": name, "dimensions": 4 });
    let case = |input, output| case_of(recording, "ensure-collection", path, input, output);
    if !recording.is_success() {
        return case(asked, Value::Null);
    }
    if dense.is_null() {
        // It is not of the adapter's making.
        let mut case = case(asked, Value::Null);
        case.expected = refused("invalid-input", "without a vector named `dense`");
        return case;
    }
    let distance = dense["distance"].as_str().unwrap_or_default().to_lowercase();
    let input = json!({
        "collection": name,
        "dimensions": dense["size"],
        "distance": distance,
        "sparse": params["sparse_vectors"]["sparse"].is_object(),
    });
    case(input, json!({ "created": false }))
}

/// An error of the adapter's own.
fn refused(kind: &'static str, message: &str) -> Expected {
    Expected::Refusal(Refusal {
        kind,
        message: message.to_owned(),
        status: 0,
    })
}

/// A change, which the adapter waits for.
fn completed(
    recording: &Recording,
    operation: &'static str,
    path: &str,
    input: Value,
    output: Value,
    result: &Value,
) -> Case {
    // An error says the same, whether it is waited for or not.
    let mut case = case_of(recording, operation, path, input, output);
    let status = result["status"].as_str().unwrap_or_default();
    if recording.is_success() && status != "completed" {
        case.expected = refused("upstream", &format!("not done yet: {status}"));
    }
    case
}

fn found(recording: &Recording, path: &str, name: &str, points: &Value) -> Case {
    let asked = &recording.asked;
    let nearest = first(&[&asked["query"]["nearest"], &asked["query"]]).unwrap_or(&Value::Null);
    let mut input = json!({ "collection": name });
    match (nearest.as_array(), nearest["indices"].is_array()) {
        (_, true) => input["sparse"] = json!({ "indices": [1], "values": [1.0] }),
        (Some(values), _) if !values.is_empty() && values.iter().all(Value::is_number) => {
            input["vector"] = nearest.clone();
        }
        _ => input["vector"] = json!([1.0, 0.0, 0.0, 0.0]),
    }
    let points = points.as_array().into_iter().flatten();
    let found: Vec<Value> = points
        .map(|point| {
            let payload = first(&[&point["payload"]]).cloned().unwrap_or_else(|| json!({}));
            json!({ "id": point["id"], "score": point["score"], "payload": payload })
        })
        .collect();
    let is_scored = found.iter().all(|point| point["score"].is_number());
    let mut case = case_of(recording, "query", path, input, json!({ "points": found }));
    if recording.is_success() && !is_scored {
        case.expected = Expected::Malformed;
    }
    case
}

/// `%20` as a space, and the like.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = after.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if *byte == b'%' => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
