//! In what the adapters depart from the providers' documents, and differ from the providers' clients, each with its
//! reason. A test fails on any that is not here, and on any that is here and no longer met.

use weir_tests::calls::Call;

use crate::difference::Difference;

/// What a document does not describe.
#[derive(Debug)]
pub struct Departure {
    document: &'static str,
    /// With `*` for any text.
    what: &'static str,
    #[expect(dead_code, reason = "for who reads it, and shown when it is no longer met")]
    why: &'static str,
}

impl Departure {
    /// Whether it is this one.
    pub fn is(&self, document: &str, departure: &str) -> bool {
        self.document == document && matches(self.what, departure)
    }
}

/// What is not the same as the client's.
#[derive(Debug)]
pub struct Known {
    /// With `*` for any text.
    api: &'static str,
    operation: &'static str,
    place: &'static str,
    /// What the two send; nothing stands for a field that is not there.
    ours: &'static str,
    theirs: &'static str,
    #[expect(dead_code, reason = "for who reads it, and shown when it is no longer met")]
    why: &'static str,
}

impl Known {
    /// Whether it is this one.
    pub fn is(&self, call: &Call, found: &Difference) -> bool {
        let shown = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        matches(self.api, call.api.name)
            && matches(self.operation, call.operation)
            && matches(self.place, &found.place)
            && matches(self.ours, &shown(&found.ours))
            && matches(self.theirs, &shown(&found.theirs))
    }
}

/// Whether a text is of a pattern with `*` for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|left| {
            let mut ends = left.char_indices().map(|(at, _)| at).chain([left.len()]);
            ends.any(|at| matches(rest, &left[at..]))
        }),
    }
}

/// From the documents.
pub const DEPARTURES: &[Departure] = &[
    Departure {
        document: "together.openapi.yaml",
        what: "body.encoding_format: not named",
        why: "OpenAI's field, which together leaves unread: both forms of answers are understood.",
    },
    Departure {
        document: "together.openapi.yaml",
        what: "body.dimensions: not named",
        why: "Sent only if the caller asks for it; a model without a choice refuses it.",
    },
    Departure {
        document: "together.openapi.yaml",
        what: "body.stream_options: not named",
        why: "OpenAI's field; without it some servers of its API tell no usage.",
    },
    Departure {
        document: "together.openapi.yaml",
        what: "body.messages.*: * is not valid under any of the schemas *",
        why: "A message of calls alone has null for its text, as OpenAI's has; the document wants a text.",
    },
    Departure {
        document: "azure-ai-model-inference.openapi.json",
        what: "body.messages.*: not named",
        why: "The document names the role of messages alone, and leaves the rest to kinds that nothing leads to.",
    },
    Departure {
        document: "azure-openai-foundry-v1.openapi.json",
        what: "body.messages.*.tool_call*: not named",
        why: "The document tells the kinds of messages and of their parts by discriminators alone, and names the fields that all have.",
    },
    Departure {
        document: "azure-openai-foundry-v1.openapi.json",
        what: "body.messages.*.content.*: not named",
        why: "The document tells the kinds of messages and of their parts by discriminators alone, and names the fields that all have.",
    },
    Departure {
        document: "gemini-tryagi.openapi.json",
        what: "query.alt: not named",
        why: "The form of a stream, which Google's documents have once for all methods and this one leaves out.",
    },
];

/// From the clients.
pub const DIFFERENCES: &[Known] = &[
    Known {
        api: "voyage",
        operation: "*",
        place: "body.*",
        ours: "",
        theirs: "null",
        why: "A field that is not given; the client sends it as null.",
    },
    Known {
        api: "voyage",
        operation: "*",
        place: "body.truncation",
        ours: "",
        theirs: "true",
        why: "A default of the client's, and of the API.",
    },
    Known {
        api: "*",
        operation: "chat",
        place: "body.stream",
        ours: "",
        theirs: "false",
        why: "A default of the client's, and of the API: a whole answer.",
    },
    Known {
        api: "*",
        operation: "chat",
        place: "body.messages.*.content",
        ours: "null",
        theirs: "",
        why: "A message of calls alone: the APIs take null as nothing, and some older servers insist on the field.",
    },
    Known {
        api: "openai",
        operation: "chat",
        place: "body.max_tokens",
        ours: "64",
        theirs: "",
        why: "The adapter at another address than OpenAI's own; see `max_tokens_parameter`.",
    },
    Known {
        api: "openai",
        operation: "chat",
        place: "body.max_completion_tokens",
        ours: "",
        theirs: "64",
        why: "The adapter at another address than OpenAI's own; see `max_tokens_parameter`.",
    },
    Known {
        api: "mistral",
        operation: "embed",
        place: "body.encoding_format",
        ours: r#""base64""#,
        theirs: "",
        why: "The adapter asks for base64, a third of the bytes.",
    },
    Known {
        api: "mistral",
        operation: "chat",
        place: "body.messages.*.prefix",
        ours: "",
        theirs: "false",
        why: "A default of the client's, and of the API.",
    },
    Known {
        api: "mistral",
        operation: "chat",
        place: "body.messages.*.tool_calls.*.index",
        ours: "",
        theirs: "0",
        why: "A default of the client's, and of the API.",
    },
    Known {
        api: "azure",
        operation: "*",
        place: "authorization",
        ours: "",
        theirs: r#""Bearer *""#,
        why: "OpenAI's client at `/openai/v1` shows a key as a token; Azure takes it as `api-key` too, as its other places do.",
    },
    Known {
        api: "azure",
        operation: "*",
        place: "api-key",
        ours: "*",
        theirs: "",
        why: "OpenAI's client at `/openai/v1` shows a key as a token; Azure takes it as `api-key` too, as its other places do.",
    },
    Known {
        api: "perplexity",
        operation: "embed",
        place: "body.encoding_format",
        ours: r#""base64_int8""#,
        theirs: "",
        why: "The adapter asks for base64; it is the API's default.",
    },
    Known {
        api: "google",
        operation: "*",
        place: "path",
        ours: r#""/v1beta/*""#,
        theirs: r#""/v1/*""#,
        why: "The client is at version 1 since 3.0. The adapter stays where all models and fields are.",
    },
    Known {
        api: "google",
        operation: "embed",
        place: "body.requests.*.content.role",
        ours: "",
        theirs: r#""user""#,
        why: "The client gives every content a role; an embedding has no turns.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.systemInstruction.role",
        ours: "",
        theirs: r#""user""#,
        why: "The client gives every content a role; the system's is no turn.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.generationConfig",
        ours: "",
        theirs: "{}",
        why: "Nothing, as the client writes it.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.tools.*.functionDeclarations.*.parametersJsonSchema",
        ours: "*",
        theirs: "",
        why: "The names are Google's own for JSON; the client's are those of the protocol's buffers, which are taken too.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.tools.*.functionDeclarations.*.parameters_json_schema",
        ours: "",
        theirs: "*",
        why: "The names are Google's own for JSON; the client's are those of the protocol's buffers, which are taken too.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.contents.*.inlineData.mimeType",
        ours: "*",
        theirs: "",
        why: "The names are Google's own for JSON; the client's are those of the protocol's buffers, which are taken too.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.contents.*.inlineData.mime_type",
        ours: "",
        theirs: "*",
        why: "The names are Google's own for JSON; the client's are those of the protocol's buffers, which are taken too.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.contents.*.fileData.fileUri",
        ours: "*",
        theirs: "",
        why: "The names are Google's own for JSON; the client's are those of the protocol's buffers, which are taken too.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.contents.*.fileData.file_uri",
        ours: "",
        theirs: "*",
        why: "The names are Google's own for JSON; the client's are those of the protocol's buffers, which are taken too.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.contents.*.fileData.mime_type",
        ours: "",
        theirs: r#""image/png""#,
        why: "The client wants a type to be told; a URL does not tell one.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.contents.*.inlineData.data",
        ours: "*",
        theirs: "*",
        why: "The same bytes: the client writes base64 with the alphabet for URLs, the adapter passes on what it is given.",
    },
    Known {
        api: "google",
        operation: "chat",
        place: "body.contents.*.thoughtSignature",
        ours: r#""skip_thought_signature_validator""#,
        theirs: "",
        why: "What Google documents for calls whose signature is not kept, which the contract has no place for; newer models refuse those without.",
    },
    Known {
        api: "anthropic",
        operation: "*",
        place: "authorization",
        ours: "",
        theirs: r#""Bearer *""#,
        why: "The client speaks the API's version of October 2026, which has no temperature, and shows the key as a token; the adapter that of 2023, where both hold.",
    },
    Known {
        api: "anthropic",
        operation: "*",
        place: "x-api-key",
        ours: "*",
        theirs: "",
        why: "The client speaks the API's version of October 2026, which has no temperature, and shows the key as a token; the adapter that of 2023, where both hold.",
    },
    Known {
        api: "anthropic",
        operation: "*",
        place: "anthropic-version",
        ours: r#""2023-06-01""#,
        theirs: r#""2026-10-21""#,
        why: "The client speaks the API's version of October 2026, which has no temperature, and shows the key as a token; the adapter that of 2023, where both hold.",
    },
    Known {
        api: "bedrock",
        operation: "embed",
        place: "body.*",
        ours: "*",
        theirs: "",
        why: "The body is the model's own, which the client leaves to its caller.",
    },
    Known {
        api: "bedrock",
        operation: "rerank",
        place: "body.*",
        ours: "*",
        theirs: "",
        why: "The body is the model's own, which the client leaves to its caller.",
    },
    Known {
        api: "bedrock-agent",
        operation: "rerank",
        place: "body.rerankingConfiguration.bedrockRerankingConfiguration.numberOfResults",
        ours: "2",
        theirs: "",
        why: "Without it the service gives as many as it likes.",
    },
    Known {
        api: "qdrant",
        operation: "query",
        place: "body.with_vector",
        ours: "",
        theirs: "false",
        why: "A default of the client's, and of the API.",
    },
    Known {
        api: "chroma",
        operation: "*",
        place: "body.*",
        ours: "",
        theirs: "null",
        why: "Nothing, as the client writes it.",
    },
    Known {
        api: "chroma",
        operation: "ensure-collection",
        place: "body.configuration.embedding_function",
        ours: "",
        theirs: r#"{"type":"legacy"}"#,
        why: "That there is none, as the client notes it for itself; it makes vectors, and the adapter is given them.",
    },
    Known {
        api: "chroma",
        operation: "upsert",
        place: "body.metadatas.*",
        ours: "{}",
        theirs: "null",
        why: "A payload without fields; the client takes no empty one. What a record had is taken away field by field.",
    },
    Known {
        api: "chroma",
        operation: "count",
        place: "query.read_level",
        ours: "",
        theirs: r#""index_and_wal""#,
        why: "A default of the client's.",
    },
];
