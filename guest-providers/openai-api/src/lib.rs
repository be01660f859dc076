//! OpenAI's API (<https://platform.openai.com/docs/api-reference>), which most providers speak: what their adapters share.
//!
//! Each module is one path of the API: what is sent there, and how the answer is read. Where the path is, with which key
//! and under what names is the adapter's to say; the limits and the words of its errors too.
//!
//! | module | has |
//! |---|---|
//! | [`provider!`] | the exports of an adapter, over the records of these modules |
//! | [`chat`] | `POST /chat/completions`, the answer whole or in events |
//! | [`embeddings`] | `POST /embeddings` |
//! | [`models`] | `GET /models` |
//! | [`rerank`] | `POST /rerank`, which is Cohere's; together and openrouter serve it beside OpenAI's |
//! | [`model`] | the settings that say which model is meant |
//! | [`errors`] | what codes and words tell that statuses do not |

mod provider;

pub mod chat;
pub mod embeddings;
pub mod errors;
pub mod model;
pub mod models;
pub mod rerank;
mod usage;
