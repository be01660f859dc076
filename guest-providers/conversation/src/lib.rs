//! Conversations with a model: what adapters of chat APIs share. All but [`stream`] is for those that are not OpenAI's.
//!
//! | module | has |
//! |---|---|
//! | [`provider!`] | the exports of an adapter, over the contract's records, which are here |
//! | [`turns`] | a conversation as these APIs want it: the system apart, two sides that take turns |
//! | [`data_url`] | images |
//! | [`object`] | a request's body that the caller's parameters are laid over |
//! | [`stream`], [`tool_blocks`] | answers that come in events |

mod provider;

pub mod data_url;
pub mod object;
pub mod stream;
pub mod tool_blocks;
pub mod turns;

pub use object::Object;
pub use stream::{Decode, Streamed, begin, given_up};
pub use weir_guest::chat::{
    Event, Finish, Message, Parameter, Part, Request, Response, Role, Tool, ToolCall, ToolCallDelta,
};
