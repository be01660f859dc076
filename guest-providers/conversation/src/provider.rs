//! The macro that makes a crate an adapter of a chat API.

/// As [`weir_guest::provider!`], with the records of this crate in the exports.
///
/// Makes a function besides: `streaming_response`, which hands an answer's events out through the adapter's own exports.
#[macro_export]
macro_rules! provider {
    ($adapter:ident, $world:tt $(,)?) => {
        ::weir_guest::provider!(@bindings $adapter, $world, "../../wit/v0.1.0", {
            "weir:provider/chat@0.1.0/role": ::conversation::Role,
            "weir:provider/chat@0.1.0/part": ::conversation::Part,
            "weir:provider/chat@0.1.0/tool-call": ::conversation::ToolCall,
            "weir:provider/chat@0.1.0/message": ::conversation::Message,
            "weir:provider/chat@0.1.0/tool": ::conversation::Tool,
            "weir:provider/chat@0.1.0/parameter": ::conversation::Parameter,
            "weir:provider/chat@0.1.0/request": ::conversation::Request,
            "weir:provider/chat@0.1.0/finish": ::conversation::Finish,
            "weir:provider/chat@0.1.0/response": ::conversation::Response,
            "weir:provider/chat@0.1.0/tool-call-delta": ::conversation::ToolCallDelta,
            "weir:provider/chat@0.1.0/event": ::conversation::Event,
        });

        fn streaming_response<F, D>(answer: ::conversation::Streamed<F, D>) -> chat::StreamingResponse
        where
            F: ::weir_guest::events::Framing + 'static,
            D: ::conversation::Decoder<F::Event> + 'static,
        {
            let (writer, events) = bindings::wit_stream::new();
            let (done, done_out) = bindings::wit_future::new(::conversation::given_up);
            chat::StreamingResponse {
                model: answer.forward(writer, done),
                events,
                done: done_out,
            }
        }
    };
}
