//! A provider's own description of its API, and what a request departs from it in.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use crate::{Request, service_model};

/// An OpenAPI document, or a service's model made one.
pub struct Document {
    root: Value,
    draft: Draft,
}

impl Document {
    /// Reads a file.
    pub fn read(file: &Path) -> anyhow::Result<Document> {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        let name = file.to_string_lossy();
        let mut root: Value = if name.ends_with(".gz") {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text)?;
            service_model::openapi(&serde_json::from_str(&text)?)
        } else if name.ends_with(".json") {
            serde_json::from_slice(&bytes)?
        } else {
            // OpenAI's bounds of 64-bit integers are rounded beyond those.
            yaml_serde::from_str(&String::from_utf8(bytes)?.replace("9223372036854776000", "9223372036854775807"))?
        };
        let is_old = root["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.0"));
        normalise(&mut root);
        Ok(Document {
            root,
            // OpenAPI 3.0 has the bounds of draft 4, 3.1 is of 2020-12.
            draft: if is_old { Draft::Draft4 } else { Draft::Draft202012 },
        })
    }

    /// What is wrong with a request, by its place: `body.input_type: …`. `left_out` is what the paths here lack.
    pub fn departures(&self, sent: &Request, left_out: &str) -> Vec<String> {
        let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
        let path = path.strip_prefix(left_out).unwrap_or(path);
        let Some((operation, shared)) = self.operation(&sent.method, path) else {
            return vec![format!("path: no {} {path}", sent.method)];
        };
        let mut departures = Vec::new();
        self.query(&[operation, shared], query, &mut departures);
        self.body(operation, sent, &mut departures);
        departures
    }

    /// The operation, and what holds for all of its path.
    fn operation(&self, method: &str, path: &str) -> Option<(&Value, &Value)> {
        let paths = self.root["paths"].as_object()?;
        let fitting = paths.iter().filter(|(template, _)| fits(template, path));
        // The one with the fewest parameters, `points/query` before `points/{id}`.
        let (_, found) = fitting
            .filter(|(_, found)| found.get(method.to_ascii_lowercase()).is_some())
            .min_by_key(|(template, _)| template.matches('{').count())?;
        Some((&found[method.to_ascii_lowercase()], found))
    }

    fn query(&self, levels: &[&Value], query: &str, departures: &mut Vec<String>) {
        let parameters: Vec<&Value> = levels
            .iter()
            .flat_map(|level| level["parameters"].as_array().into_iter().flatten())
            .map(|parameter| self.resolved(parameter))
            .filter(|parameter| parameter["in"] == "query")
            .collect();
        let given: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (name, value) in &given {
            match parameters.iter().find(|parameter| parameter["name"] == **name) {
                None => departures.push(format!("query.{name}: not named")),
                Some(parameter) => {
                    let read = serde_json::from_str(value)
                        .ok()
                        .filter(|value: &Value| !value.is_string());
                    let (as_text, as_read) = (json!(value), read.unwrap_or_else(|| json!(value)));
                    let errors = |value: &Value| self.errors(&parameter["schema"], value);
                    if !errors(&as_text).is_empty() {
                        departures.extend(errors(&as_read).iter().map(|error| format!("query.{name}{error}")));
                    }
                }
            }
        }
        let missing = parameters.iter().filter(|parameter| parameter["required"] == true);
        let missing = missing.filter(|parameter| !given.iter().any(|(name, _)| parameter["name"] == **name));
        departures.extend(missing.map(|parameter| format!("query.{}: missing", parameter["name"])));
    }

    fn body(&self, operation: &Value, sent: &Request, departures: &mut Vec<String>) {
        let described = self.resolved(&operation["requestBody"]);
        if sent.body.is_empty() {
            if described["required"] == true {
                departures.push("body: missing".to_owned());
            }
            return;
        }
        if sent.content_type.as_deref() != Some("application/json") {
            departures.push(format!("content-type: {:?}", sent.content_type));
        }
        let schema = &described["content"]["application/json"]["schema"];
        if schema.is_null() {
            return departures.push("body: none is taken".to_owned());
        }
        match serde_json::from_str::<Value>(&sent.body) {
            Err(error) => departures.push(format!("body: {error}")),
            Ok(body) => {
                let errors = self.errors(schema, &body);
                departures.extend(errors.iter().map(|error| format!("body{error}")));
                self.unnamed(&[schema], &body, "body", departures);
            }
        }
    }

    /// What is wrong with a value, by its place in it.
    fn errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        match self.validator(schema) {
            Err(error) => vec![format!(": the schema is none: {error:#}")],
            Ok(validator) => validator
                .iter_errors(value)
                .map(|error| {
                    let place = error.instance_path().to_string().replace('/', ".");
                    format!("{place}: {}", shortened(&error.to_string()))
                })
                .collect(),
        }
    }

    fn validator(&self, schema: &Value) -> anyhow::Result<Validator> {
        let root = json!({ "allOf": [schema], "components": self.components(schema) });
        jsonschema::options()
            .with_draft(self.draft)
            .build(&root)
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// The schemas that one leads to.
    fn components(&self, schema: &Value) -> Value {
        let (mut found, mut names, mut left) = (Map::new(), BTreeSet::new(), vec![schema]);
        while let Some(value) = left.pop() {
            match value {
                Value::Array(items) => left.extend(items),
                Value::Object(fields) => {
                    left.extend(fields.values());
                    let name = fields.get("$ref").and_then(Value::as_str);
                    if let Some(name) = name.and_then(|path| path.strip_prefix("#/components/schemas/"))
                        && names.insert(name)
                        && let Some(component) = self.root["components"]["schemas"].get(name)
                    {
                        found.insert(name.to_owned(), component.clone());
                        left.push(component);
                    }
                }
                _ => {}
            }
        }
        json!({ "schemas": found })
    }

    /// Fields that no schema of a value names, whether or not it takes others too.
    fn unnamed(&self, schemas: &[&Value], value: &Value, place: &str, departures: &mut Vec<String>) {
        let mut parts = Vec::new();
        schemas.iter().for_each(|schema| self.parts(schema, &mut parts));
        match value {
            Value::Array(items) => {
                let each: Vec<&Value> = parts.iter().filter_map(|part| part.get("items")).collect();
                for (index, item) in items.iter().enumerate() {
                    self.unnamed(&each, item, &format!("{place}.{index}"), departures);
                }
            }
            Value::Object(fields) => {
                // What has no fields of its own is free: payloads, schemas, arguments.
                if !parts.iter().any(|part| part.get("properties").is_some()) {
                    return;
                }
                for (name, value) in fields {
                    let place = format!("{place}.{name}");
                    let of_name = parts.iter().filter_map(|part| part["properties"].get(name));
                    let of_others = parts
                        .iter()
                        .map(|part| &part["additionalProperties"])
                        .filter(|part| part.is_object());
                    let found: Vec<&Value> = of_name.chain(of_others).collect();
                    if found.is_empty() {
                        departures.push(format!("{place}: not named"));
                    } else {
                        self.unnamed(&found, value, &place, departures);
                    }
                }
            }
            _ => {}
        }
    }

    /// A schema and all that it is made of.
    fn parts<'d>(&'d self, schema: &'d Value, parts: &mut Vec<&'d Value>) {
        let schema = self.resolved(schema);
        // Some are made of themselves.
        if parts.iter().any(|part| std::ptr::eq(*part, schema)) {
            return;
        }
        parts.push(schema);
        for combination in ["allOf", "anyOf", "oneOf"] {
            for part in schema[combination].as_array().into_iter().flatten() {
                self.parts(part, parts);
            }
        }
    }

    fn resolved<'d>(&'d self, mut value: &'d Value) -> &'d Value {
        while let Some(path) = value["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
            value = self.root.pointer(path).unwrap_or(&Value::Null);
        }
        value
    }
}

/// Whether a path is one of a template: `/models/{id}:embedContent`.
fn fits(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let all = template.split('/').all(|part| {
        let Some(segment) = segments.next() else { return false };
        match (part.find('{'), part.rfind('}')) {
            (Some(start), Some(end)) => {
                let (before, after) = (&part[..start], &part[end + 1..]);
                segment.len() > before.len() + after.len() && segment.starts_with(before) && segment.ends_with(after)
            }
            _ => part == segment,
        }
    });
    all && segments.next().is_none()
}

/// Makes JSON Schema of what OpenAPI has of its own, or what documents have wrong.
fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(fields) => {
            fields.values_mut().for_each(normalise);
            // A discriminator tells which of several fits, where each alone may.
            if fields
                .get("discriminator")
                .is_some_and(|found| found["propertyName"].is_string())
                && let Some(choices) = fields.remove("oneOf")
            {
                fields.insert("anyOf".to_owned(), choices);
            }
            // An object that is one of: a text, a list.
            if fields.get("type").is_some_and(|kind| kind == "object") && fields.contains_key("oneOf") {
                fields.remove("type");
            }
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
                let or_null = std::mem::take(fields);
                *value = if or_null.is_empty() {
                    json!({ "type": "null" })
                } else {
                    json!({ "anyOf": [or_null, { "type": "null" }] })
                };
            }
        }
        _ => {}
    }
}

/// Without the whole value that an error repeats.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!(
            "…{}",
            text.get(text.len() - text.len().min(MOST)..).unwrap_or(&text[..end])
        ),
        None => text.to_owned(),
    }
}
