//! What the end-to-end tests share: the built program in a folder of its own, and where its parts lie.
//!
//! The tests themselves are in `tests/`, one file a subject. They run the program as a user would: with a
//! configuration file, arguments and an environment, against an upstream of their own.
#![forbid(unsafe_code)]

pub mod calls;
pub mod collector;
pub mod configuration;
pub mod documented;
pub mod indexing;
mod intermediary;
mod listening;
pub mod live;
mod program;
pub mod recordings;
mod running;
mod sentinel;
mod server;
mod tree;

use std::path::{Path, PathBuf};

pub use intermediary::Intermediary;
pub use listening::listens;
pub use program::{Finished, Program};
pub use running::{Running, until};
pub use server::Server;
pub use tree::{Kinds, Tree};

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A component that `just build-fixtures` builds.
pub fn fixture(name: &str) -> PathBuf {
    built(
        repository().join(format!("tests/fixtures/target/wasm32-wasip2/release/{name}.wasm")),
        "just build-fixtures",
    )
}

/// A bundled adapter, as `just build-guests` leaves it.
pub fn adapter(name: &str) -> PathBuf {
    built(
        repository().join(format!("guest-providers/dist/{name}.wasm")),
        "just build-guests",
    )
}

/// The program `weir`, beside this test's own executable.
pub(crate) fn executable() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap_or_default();
    // target/PROFILE/deps/TEST
    folder.pop();
    folder.pop();
    built(
        folder.join(format!("weir{}", std::env::consts::EXE_SUFFIX)),
        "just build",
    )
}

#[allow(clippy::panic, reason = "a test cannot go on without its parts")]
fn built(path: PathBuf, recipe: &str) -> PathBuf {
    assert!(path.exists(), "{} is not there; run `{recipe}`", path.display());
    path
}
