//! Conversations with a model, for the APIs that are not OpenAI's: what their adapters share.
//!
//! | module | has |
//! |---|---|
//! | [`provider!`] | the exports of an adapter, over the contract's records, which are here |
//! | [`turns`] | a conversation as these APIs want it: the system apart, two sides that take turns |
//! | [`blocks`] | messages that are made of blocks |
//! | [`data_url`] | images |
//! | [`object`] | a request's body that the caller's parameters are laid over |
//! | [`tool_blocks`] | calls in answers that come in events |

mod provider;

pub mod blocks;
pub mod data_url;
pub mod object;
pub mod tool_blocks;
pub mod turns;

pub use object::Object;
pub use weir_guest::chat::{
    Decoder, Event, Finish, Message, Parameter, Part, Request, Response, Role, Streamed, Tool, ToolCall, ToolCallDelta,
    begin, given_up,
};
