//! Real traffic of providers, played back: what a provider once answered is served on this machine, the program is
//! made to ask for it, and what it makes of the answer is compared with what the answer holds.
//!
//! The recordings lie outside the project. A file is one exchange: `{"request": {"method", "url" or "path" and "query",
//! "headers", "body"}, "response": {"status", "headers", "body"}}`, a body being `{"json"}`, `{"text"}` or `{"base64"}`;
//! its folder names the provider. All that is asked of the program is made out of that, so that a file can be added
//! without a line of code.
//!
//! | module | has |
//! |---|---|
//! | [`recording`] | a file |
//! | [`formats`] | what a provider's file means: the operation that asks for it, its input, and its result |
//! | [`case`] | that, as a value; and whether a result is the expected one |
//! | [`refusal`] | what an error is to say |
//! | [`player`] | the provider that answers as recorded |

pub mod case;
mod event_stream;
pub mod formats;
pub mod player;
pub mod recording;
pub mod refusal;

use std::path::{Path, PathBuf};

pub use case::{Auth, Case, Expected};
pub use event_stream::event_stream;
pub use player::{Player, Sent};
pub use recording::Recording;
pub use refusal::Refusal;

/// The variable that says where the recordings are.
const VARIABLE: &str = "WEIR_RECORDINGS";

/// The folder of the recordings: what `WEIR_RECORDINGS` says, else `../shared/recordings` beside the repository. The
/// error says where nothing was found.
///
/// # Errors
/// If there is no such folder.
pub fn folder() -> Result<PathBuf, String> {
    let folder = match std::env::var_os(VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => crate::repository().join("../shared/recordings"),
    };
    match folder.canonicalize() {
        Ok(folder) if folder.is_dir() => Ok(folder),
        _ => Err(format!(
            "no recordings at {}; {VARIABLE} says where they are",
            folder.display()
        )),
    }
}

/// Every file in the folder, in the order of their names: the recording, or why it is none.
///
/// # Errors
/// If the folder can't be read.
pub fn all(folder: &Path) -> std::io::Result<Vec<anyhow::Result<Recording>>> {
    let mut files = Vec::new();
    for provider in std::fs::read_dir(folder)? {
        let provider = provider?.path();
        if !provider.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(provider)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                files.push(file);
            }
        }
    }
    files.sort();
    Ok(files.iter().map(|file| Recording::read(file)).collect())
}
