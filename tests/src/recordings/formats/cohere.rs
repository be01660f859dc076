//! Version 2 of Cohere's API, and its server of OpenAI's.

use serde_json::{Value, json};

use super::super::{Case, Expected, Recording};
use super::openai::Dialect;
use super::{case_of, conversation, first, openai, vectors};

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    if openai::is_chat(recording) {
        return openai::case(recording, &Dialect::OPENAI);
    }
    let (asked, answer) = (&recording.asked, recording.answer());
    let ends = |path: &str| {
        recording
            .path
            .as_deref()
            .is_some_and(|recorded| recorded.ends_with(path))
    };
    let model = asked["model"].as_str().unwrap_or("a-model");
    let tokens = answer["meta"]["billed_units"]["input_tokens"].as_u64().unwrap_or(0);
    let usage = json!({ "input_tokens": tokens });
    if ends("/v2/rerank") || answer["results"][0].get("relevance_score").is_some() {
        let mut input = json!({
            "query": asked["query"].as_str().unwrap_or("a question"),
            "documents": vectors::documents(&asked["documents"], &answer["results"]),
            "model": model,
        });
        if !asked["top_n"].is_null() {
            input["top_n"] = asked["top_n"].clone();
        }
        let results = vectors::ranking(&answer["results"], "relevance_score");
        let result = json!({ "model": model, "results": results, "usage": usage });
        return Ok(case_of(recording, "rerank", "/v2/rerank", input, result));
    }
    if ends("/v2/embed") || !answer["embeddings"].is_null() {
        let embeddings = &answer["embeddings"];
        let written = first(&[&embeddings["float"], &embeddings["base64"]]).unwrap_or(&Value::Null);
        let written: Vec<Value> = written.as_array().into_iter().flatten().map(vectors::floats).collect();
        let mut input = json!({ "inputs": vectors::inputs(&asked["texts"], written.len()), "model": model });
        if !asked["output_dimension"].is_null() {
            input["dimensions"] = asked["output_dimension"].clone();
        }
        input["kind"] = match asked["input_type"].as_str() {
            Some("search_query") => "query".into(),
            _ => "document".into(),
        };
        let result = json!({ "model": model, "vectors": written, "usage": usage });
        return Ok(case_of(recording, "embed", "/v2/embed", input, result));
    }
    Ok(chat(recording, &answer))
}

fn chat(recording: &Recording, answer: &Value) -> Case {
    let case = case_of(
        recording,
        "chat",
        "/v2/chat",
        conversation::input(&recording.asked),
        Value::Null,
    );
    if !matches!(case.expected, Expected::Result(_)) {
        return case;
    }
    let expected = if case.streams {
        streamed(&recording.events())
    } else {
        whole(answer)
    };
    Case { expected, ..case }
}

fn whole(answer: &Value) -> Expected {
    let message = &answer["message"];
    let calls: Vec<Value> = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(conversation::call)
        .collect();
    Expected::Result(json!({
        "text": conversation::text(&message["content"]),
        "tool_calls": calls,
        "finish": finish(&answer["finish_reason"]),
        "usage": usage(&answer["usage"]),
    }))
}

fn streamed(events: &[Value]) -> Expected {
    let mut text = String::new();
    let mut calls: Vec<Value> = Vec::new();
    let mut result = json!({});
    for event in events {
        let delta = &event["delta"];
        let message = &delta["message"];
        match event["type"].as_str() {
            Some("content-delta") => text += message["content"]["text"].as_str().unwrap_or_default(),
            Some("tool-call-start") => calls.push(conversation::call(&message["tool_calls"])),
            Some("tool-call-delta") => {
                let more = message["tool_calls"]["function"]["arguments"]
                    .as_str()
                    .unwrap_or_default();
                if let Some(call) = calls.last_mut() {
                    let begun = call["arguments"].as_str().unwrap_or_default().to_owned();
                    call["arguments"] = (begun + more).into();
                }
            }
            Some("message-end") => {
                result["finish"] = finish(&delta["finish_reason"]);
                result["usage"] = usage(&delta["usage"]);
            }
            _ => {}
        }
    }
    result["text"] = text.into();
    result["tool_calls"] = calls.into();
    Expected::Result(result)
}

fn finish(reason: &Value) -> Value {
    match reason.as_str() {
        Some("COMPLETE" | "STOP_SEQUENCE") => "stop".into(),
        Some("MAX_TOKENS") => "length".into(),
        Some("TOOL_CALL") => "tool-calls".into(),
        _ => reason.clone(),
    }
}

fn usage(usage: &Value) -> Value {
    let units = first(&[&usage["tokens"], &usage["billed_units"]]).unwrap_or(&Value::Null);
    let tokens = |name: &str| units[name].as_f64().unwrap_or(0.0) as u64;
    json!({ "input_tokens": tokens("input_tokens"), "output_tokens": tokens("output_tokens") })
}
