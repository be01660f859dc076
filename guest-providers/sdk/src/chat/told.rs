//! What a decoder makes of a provider's events, in short: for the tests of adapters.

use super::Event;
use crate::streaming::Decode;
use crate::{Error, sse};

/// Each event's meaning in a few characters, and how the stream ended: a text as it is, a piece of a tool's call as
/// `INDEX:NAME(ARGUMENTS`, the end by its reason, usage as `INPUT+OUTPUT`.
pub fn told<E, D>(events: impl IntoIterator<Item = E>) -> (Vec<String>, Result<(), Error>)
where
    D: Decode<E, Item = Event> + Default,
{
    let mut decoder = D::default();
    let mut items = Vec::new();
    let mut result = Ok(());
    for event in events {
        result = decoder.event(&event, &mut items);
        if result.is_err() || decoder.is_done() {
            break;
        }
    }
    let result = result.and_then(|()| decoder.end(&mut items));
    (items.iter().map(in_short).collect(), result)
}

/// As [`told`], of server-sent events by their data.
pub fn told_by_data<D>(data: &[&str]) -> (Vec<String>, Result<(), Error>)
where
    D: Decode<sse::Event, Item = Event> + Default,
{
    let event = |data: &&str| sse::Event {
        name: String::new(),
        data: (*data).to_owned(),
    };
    told::<_, D>(data.iter().map(event))
}

fn in_short(item: &Event) -> String {
    match item {
        Event::Text(text) => text.clone(),
        Event::ToolCall(call) => {
            let name = call.name.as_deref().unwrap_or_default();
            format!("{}:{name}({}", call.index, call.arguments)
        }
        Event::Finish(reason) => format!("{reason:?}"),
        Event::Usage(usage) => format!("{}+{}", usage.input_tokens, usage.output_tokens),
    }
}
