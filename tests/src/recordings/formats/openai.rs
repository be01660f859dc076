//! OpenAI's API, and what servers that speak it do otherwise.

use serde_json::{Value, json};

use super::super::{Case, Expected, Recording, refusal};
use super::{case_of, conversation, first, vectors};

/// What a server does otherwise.
pub(super) struct Dialect {
    /// The paths after the base.
    pub embeddings: &'static str,
    pub chat: &'static str,
    pub models: &'static str,
    pub rerank: &'static str,
    /// How a vector is written.
    pub vector: fn(&Value) -> Value,
}

impl Dialect {
    pub(super) const OPENAI: Dialect = Dialect {
        embeddings: "/embeddings",
        chat: "/chat/completions",
        models: "/models",
        rerank: "/rerank",
        vector: vectors::floats,
    };

    pub(super) const PERPLEXITY: Dialect = Dialect {
        embeddings: "/v1/embeddings",
        vector: vectors::signed_bytes,
        ..Self::OPENAI
    };
}

pub(super) fn is_chat(recording: &Recording) -> bool {
    recording
        .path
        .as_deref()
        .is_some_and(|path| path.ends_with(Dialect::OPENAI.chat))
}

pub(super) fn case(recording: &Recording, dialect: &Dialect) -> Result<Case, String> {
    let asked = &recording.asked;
    let answer = recording.answer();
    let ends = |path: &str| {
        recording
            .path
            .as_deref()
            .is_some_and(|recorded| recorded.ends_with(path))
    };
    if ends(dialect.models) && recording.method == "GET" {
        return Ok(case_of(recording, "models", dialect.models, json!({}), models(&answer)));
    }
    let is_list_of = |field: &str| answer["data"][0].get(field).is_some() || answer["results"][0].get(field).is_some();
    if ends(dialect.rerank) || is_list_of("relevance_score") {
        return Ok(case_of(
            recording,
            "rerank",
            dialect.rerank,
            rerank_input(asked, &answer),
            reranked(&answer),
        ));
    }
    let embeds = ends("/embeddings") || is_list_of("embedding");
    if embeds {
        let result = embedded(&answer, dialect.vector);
        return Ok(case_of(
            recording,
            "embed",
            dialect.embeddings,
            embed_input(asked, &answer),
            result,
        ));
    }
    Ok(chat(recording, dialect.chat))
}

/// A case of `chat` at `path`.
pub(super) fn chat(recording: &Recording, path: &str) -> Case {
    let mut input = conversation::input(&recording.asked);
    if input["model"].is_null() {
        input["model"] = "a-model".into();
    }
    let case = case_of(recording, "chat", path, input, Value::Null);
    if !matches!(case.expected, Expected::Result(_)) {
        return case;
    }
    let expected = if case.streams {
        streamed(&recording.events())
    } else {
        completion(&recording.answer())
    };
    Case { expected, ..case }
}

fn embed_input(asked: &Value, answer: &Value) -> Value {
    let answered = answer["data"].as_array().map_or(0, Vec::len);
    let mut input = json!({ "inputs": vectors::inputs(&asked["input"], answered) });
    input["model"] = first(&[&asked["model"], &answer["model"]])
        .cloned()
        .unwrap_or_else(|| "a-model".into());
    if let Some(dimensions) = first(&[&asked["dimensions"], &asked["output_dimension"]]) {
        input["dimensions"] = dimensions.clone();
    }
    input
}

fn embedded(answer: &Value, vector: fn(&Value) -> Value) -> Value {
    let written: Vec<Value> = vectors::in_order(&answer["data"])
        .into_iter()
        .map(|item| vector(&item["embedding"]))
        .collect();
    let usage = first(&[&answer["usage"]["prompt_tokens"], &answer["usage"]["total_tokens"]]);
    with_model(
        answer,
        json!({ "vectors": written, "usage": { "input_tokens": usage.cloned().unwrap_or_else(|| 0.into()) } }),
    )
}

/// The result, with the model that the answer names, if it does.
fn with_model(answer: &Value, mut result: Value) -> Value {
    if !answer["model"].is_null() {
        result["model"] = answer["model"].clone();
    }
    result
}

fn rerank_input(asked: &Value, answer: &Value) -> Value {
    let results = first(&[&answer["results"], &answer["data"]]).unwrap_or(&Value::Null);
    let mut input = json!({
        "query": asked["query"].as_str().unwrap_or("a question"),
        "documents": vectors::documents(&asked["documents"], results),
        "model": first(&[&asked["model"], &answer["model"]]).and_then(Value::as_str).unwrap_or("a-model"),
    });
    if let Some(top_n) = first(&[&asked["top_n"], &asked["top_k"]]) {
        input["top_n"] = top_n.clone();
    } else if let Some(results) = results.as_array() {
        input["top_n"] = results.len().into();
    }
    input
}

fn reranked(answer: &Value) -> Value {
    let results = first(&[&answer["results"], &answer["data"]]).unwrap_or(&Value::Null);
    json!({ "results": vectors::ranking(results, "relevance_score") })
}

fn models(answer: &Value) -> Value {
    let models = first(&[&answer["data"], answer]).and_then(Value::as_array);
    let ids = models.into_iter().flatten().map(|model| json!({ "id": model["id"] }));
    json!({ "models": ids.collect::<Vec<_>>() })
}

fn usage(usage: &Value) -> Value {
    let tokens = |name: &str| usage[name].as_u64().unwrap_or(0);
    json!({ "input_tokens": tokens("prompt_tokens"), "output_tokens": tokens("completion_tokens") })
}

fn completion(answer: &Value) -> Expected {
    let choice = &answer["choices"][0];
    let message = &choice["message"];
    if !answer["error"].is_null() {
        return refusal::inside(&answer["error"]);
    }
    let calls: Vec<Value> = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(conversation::call)
        .collect();
    let said = first(&[&message["content"], &message["refusal"]]).unwrap_or(&Value::Null);
    let result = json!({
        "text": conversation::text(said),
        "tool_calls": calls,
        "finish": conversation::finish(choice["finish_reason"].as_str().unwrap_or_default()),
        "usage": usage(&answer["usage"]),
    });
    Expected::Result(with_model(answer, result))
}

/// What the chunks of an answer say together.
pub(super) fn streamed(chunks: &[Value]) -> Expected {
    let mut result = json!({ "text": "", "tool_calls": [] });
    let mut text = String::new();
    let mut calls: Vec<(u64, Value)> = Vec::new();
    for chunk in chunks {
        if !chunk["error"].is_null() {
            return refusal::inside(&chunk["error"]);
        }
        let choices = chunk["choices"].as_array().into_iter().flatten();
        let own = choices
            .into_iter()
            .find(|choice| choice["index"].as_u64().unwrap_or(0) == 0);
        let choice = own.unwrap_or(&Value::Null);
        let delta = first(&[&choice["delta"], &choice["message"]]).unwrap_or(&Value::Null);
        text += &conversation::text(&delta["content"]);
        text += &conversation::text(&delta["refusal"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            add_to_call(&mut calls, call);
        }
        if let (Some(reason), true) = (choice["finish_reason"].as_str(), result["finish"].is_null()) {
            result["finish"] = conversation::finish(reason).into();
        }
        if !chunk["usage"].is_null() {
            result["usage"] = usage(&chunk["usage"]);
        }
    }
    result["text"] = text.into();
    result["tool_calls"] = calls.into_iter().map(|(_, call)| call).collect();
    Expected::Result(result)
}

fn add_to_call(calls: &mut Vec<(u64, Value)>, piece: &Value) {
    let index = piece["index"].as_u64().unwrap_or_default();
    let piece = conversation::call(piece);
    match calls.iter_mut().find(|(found, _)| *found == index) {
        None => calls.push((index, piece)),
        Some((_, call)) => {
            let text = |value: &Value| value["arguments"].as_str().unwrap_or_default().to_owned();
            call["arguments"] = (text(call) + &text(&piece)).into();
        }
    }
}
