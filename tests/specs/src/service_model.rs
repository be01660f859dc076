//! AWS's description of a service (`service-2.json`) as an OpenAPI document, as far as requests go.

use serde_json::{Map, Value, json};

/// The document.
pub fn openapi(model: &Value) -> Value {
    let mut paths = Map::new();
    for operation in model["operations"].as_object().into_iter().flat_map(Map::values) {
        let http = &operation["http"];
        let (path, method) = (text(&http["requestUri"]), text(&http["method"]).to_ascii_lowercase());
        let input = &model["shapes"][text(&operation["input"]["shape"])];
        let described = json!({ "requestBody": body(input), "parameters": query(input) });
        let path = paths.entry(path).or_insert_with(|| json!({}));
        path[method] = described;
    }
    let shapes = model["shapes"].as_object().into_iter().flatten();
    let schemas: Map<String, Value> = shapes.map(|(name, shape)| (name.clone(), schema(shape))).collect();
    json!({ "openapi": "3.1.0", "paths": paths, "components": { "schemas": schemas } })
}

fn body(input: &Value) -> Value {
    let schema = match input["payload"].as_str() {
        // A body of the model's own, which is not described.
        Some(_) => json!({}),
        None => schema(input),
    };
    json!({ "content": { "application/json": { "schema": schema } } })
}

fn query(input: &Value) -> Value {
    let members = input["members"].as_object().into_iter().flatten();
    let members = members.filter(|(_, member)| member["location"] == "querystring");
    members
        .map(|(name, member)| json!({ "in": "query", "name": wire_name(name, member), "schema": reference(member) }))
        .collect()
}

fn schema(shape: &Value) -> Value {
    let numbers = |least: &str, most: &str| {
        let mut bounds = Map::new();
        for (ours, theirs) in [(least, "min"), (most, "max")] {
            bounds.extend(shape.get(theirs).map(|bound| (ours.to_owned(), bound.clone())));
        }
        bounds
    };
    let mut schema = match text(&shape["type"]).as_str() {
        "structure" if shape["document"] == true => return json!({}),
        "structure" => return structure(shape),
        "list" => with(
            "array",
            numbers("minItems", "maxItems"),
            "items",
            reference(&shape["member"]),
        ),
        "map" => with("object", Map::new(), "additionalProperties", reference(&shape["value"])),
        "integer" | "long" => with("integer", numbers("minimum", "maximum"), "", Value::Null),
        "float" | "double" => with("number", numbers("minimum", "maximum"), "", Value::Null),
        "boolean" => json!({ "type": "boolean" }),
        "timestamp" => json!({ "type": ["string", "number"] }),
        "blob" => json!({ "type": "string" }),
        _ => with("string", numbers("minLength", "maxLength"), "", Value::Null),
    };
    for keyword in ["enum", "pattern"] {
        if let Some(found) = shape.get(keyword) {
            schema[keyword] = if keyword == "pattern" {
                anchored(found)
            } else {
                found.clone()
            };
        }
    }
    schema
}

/// AWS's patterns are of the whole text.
fn anchored(pattern: &Value) -> Value {
    format!("^(?:{})$", text(pattern)).into()
}

fn with(kind: &str, mut keywords: Map<String, Value>, name: &str, value: Value) -> Value {
    keywords.insert("type".to_owned(), kind.into());
    if !name.is_empty() {
        keywords.insert(name.to_owned(), value);
    }
    keywords.into()
}

/// Only what goes into the body; nothing else is taken.
fn structure(shape: &Value) -> Value {
    let in_body = |member: &Value| member.get("location").is_none();
    let members: Vec<_> = shape["members"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, m)| in_body(m))
        .collect();
    let required = shape["required"].as_array().into_iter().flatten();
    let required: Vec<String> = required
        .filter_map(|name| members.iter().find(|(found, _)| name.as_str() == Some(found)))
        .map(|(name, member)| wire_name(name, member))
        .collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, member)| (wire_name(name, member), reference(member)))
        .collect();
    let mut schema = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    if shape["union"] == true {
        schema["minProperties"] = 1.into();
        schema["maxProperties"] = 1.into();
    }
    schema
}

fn wire_name(name: &str, member: &Value) -> String {
    member["locationName"].as_str().unwrap_or(name).to_owned()
}

fn reference(member: &Value) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", text(&member["shape"])) })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
