//! What an answer says it cost.

use serde::Deserialize;
use weir_guest::types::Usage;

/// `usage`, on every path.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

impl Tokens {
    /// Of a text that was written.
    pub(crate) fn of_chat(&self) -> Usage {
        Usage {
            input_tokens: self.prompt_tokens.unwrap_or(0),
            output_tokens: self.completion_tokens.unwrap_or(0),
        }
    }

    /// Of an answer that is no text: nothing of it is output. Servers tell the whole, the input, or both.
    pub(crate) fn of_input(told: Option<Self>) -> Usage {
        Usage {
            input_tokens: told
                .and_then(|tokens| tokens.prompt_tokens.or(tokens.total_tokens))
                .unwrap_or(0),
            output_tokens: 0,
        }
    }
}
