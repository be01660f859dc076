//! What the tests of `weir index` share: a run of it, and what is in the store afterwards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Map, Value};
use weir_upstream::{Point, PointId, SparseVector, Upstream};

use crate::configuration::{every_provider, with_upstream};
use crate::{Finished, Program, Tree};

/// The collection that everything goes into.
pub const COLLECTION: &str = "code";

/// A point without the number of the operation that wrote it, which tells in how many steps it was done.
pub type Content = (
    PointId,
    BTreeMap<String, Vec<f32>>,
    BTreeMap<String, SparseVector>,
    Map<String, Value>,
);

/// Indexes a tree, to the end.
///
/// # Errors
/// If the program does not start.
pub fn index(program: &Program, tree: &Tree) -> anyhow::Result<Finished> {
    program.run(index_arguments(tree.path()))
}

/// The arguments for that.
pub fn index_arguments(path: &Path) -> [&OsStr; 5] {
    [
        "--json".as_ref(),
        "index".as_ref(),
        path.as_os_str(),
        "--collection".as_ref(),
        COLLECTION.as_ref(),
    ]
}

/// What is in the store.
pub fn stored(upstream: &Upstream) -> Vec<Content> {
    let content = |point: Point| (point.id, point.dense, point.sparse, point.payload);
    upstream.points(COLLECTION).into_iter().map(content).collect()
}

/// What an uninterrupted run makes of the tree.
///
/// # Errors
/// If it fails.
pub async fn stored_at_once(tree: &Tree) -> anyhow::Result<Vec<Content>> {
    let upstream = Upstream::start().await?;
    index(&with_upstream(&every_provider(&upstream, ""))?, tree)?.success()?;
    Ok(stored(&upstream))
}
