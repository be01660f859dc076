//! The macro that makes a crate an adapter of this API.

/// As [`weir_guest::provider!`], with the capabilities named whose records in the exports are this crate's:
/// `provider!(Example, [embedding, chat], "world")`. The world may have others besides.
///
/// With `chat` comes a function `streaming_response`, which hands an answer's events out through the adapter's own
/// exports.
#[macro_export]
macro_rules! provider {
    ($adapter:ident, [$($capability:ident),+], $world:tt $(,)?) => {
        $crate::provider!(@records $adapter, $world, [$($capability)+], {});
    };
    (@records $adapter:ident, $world:tt, [embedding $($rest:ident)*], { $($with:tt)* }) => {
        $crate::provider!(@records $adapter, $world, [$($rest)*], {
            $($with)*
            "weir:provider/embedding@0.1.0/response": ::openai_api::embeddings::Response,
        });
    };
    (@records $adapter:ident, $world:tt, [models $($rest:ident)*], { $($with:tt)* }) => {
        $crate::provider!(@records $adapter, $world, [$($rest)*], {
            $($with)*
            "weir:provider/models@0.1.0/model": ::openai_api::models::Model,
        });
    };
    (@records $adapter:ident, $world:tt, [reranking $($rest:ident)*], { $($with:tt)* }) => {
        $crate::provider!(@records $adapter, $world, [$($rest)*], {
            $($with)*
            "weir:provider/reranking@0.1.0/request": ::openai_api::rerank::Request,
            "weir:provider/reranking@0.1.0/ranked": ::openai_api::rerank::Ranked,
            "weir:provider/reranking@0.1.0/response": ::openai_api::rerank::Response,
        });
    };
    (@records $adapter:ident, $world:tt, [chat $($rest:ident)*], { $($with:tt)* }) => {
        $crate::provider!(@records $adapter, $world, [$($rest)*], {
            $($with)*
            "weir:provider/chat@0.1.0/role": ::openai_api::chat::Role,
            "weir:provider/chat@0.1.0/part": ::openai_api::chat::Part,
            "weir:provider/chat@0.1.0/tool-call": ::openai_api::chat::ToolCall,
            "weir:provider/chat@0.1.0/message": ::openai_api::chat::Message,
            "weir:provider/chat@0.1.0/tool": ::openai_api::chat::Tool,
            "weir:provider/chat@0.1.0/parameter": ::openai_api::chat::Parameter,
            "weir:provider/chat@0.1.0/request": ::openai_api::chat::Request,
            "weir:provider/chat@0.1.0/finish": ::openai_api::chat::Finish,
            "weir:provider/chat@0.1.0/response": ::openai_api::chat::Response,
            "weir:provider/chat@0.1.0/tool-call-delta": ::openai_api::chat::ToolCallDelta,
            "weir:provider/chat@0.1.0/event": ::openai_api::chat::Event,
        });

        fn streaming_response(
            answer: ::openai_api::chat::Streamed<impl ::openai_api::chat::Decoder + 'static>,
        ) -> chat::StreamingResponse {
            let (writer, events) = bindings::wit_stream::new();
            let (done, done_out) = bindings::wit_future::new(::openai_api::chat::given_up);
            chat::StreamingResponse {
                model: answer.forward(writer, done),
                events,
                done: done_out,
            }
        }
    };
    (@records $adapter:ident, $world:tt, [], { $($with:tt)* }) => {
        ::weir_guest::provider!(@bindings $adapter, $world, "../../wit/v0.1.0", { $($with)* });
    };
}
