//! The files of a tree, as git sees it.
//!
//! Ignored files, `.git` and `.weir` are left out, hidden files are not. Links are not followed: git keeps them
//! as links too. Only names are gathered here, in one stable order; [`super::source`] looks into the files.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::source;

/// Never looked into: git's own folder, and the one a project may keep for this program.
const EXCLUDED: [&str; 2] = [".git", ".weir"];

/// The files found under a root.
#[derive(Debug, Default)]
pub struct Tree {
    /// Paths are relative to this.
    pub base: PathBuf,
    /// The files, sorted by their path.
    pub files: Vec<Found>,
    /// The folders that were looked into, the root first.
    pub folders: Vec<PathBuf>,
    /// Files whose name is not Unicode, so that no payload can carry it.
    pub unnameable: Vec<PathBuf>,
    /// What could not be read. Files may be missing from `files` because of it.
    pub errors: Vec<String>,
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path, with `/`.
    pub path: String,
    /// How much of it there is to read: none of a file whose name or size tells that it is not indexed.
    pub bytes: u64,
}

impl Tree {
    /// Whether a file of this path was found.
    pub fn contains(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
    }
}

/// The root can't be walked.
#[derive(Debug, thiserror::Error)]
#[error("{} can't be indexed: {source}", root.display())]
pub struct WalkError {
    root: PathBuf,
    source: std::io::Error,
}

/// Walks a folder; or takes a single file.
pub fn walk(root: &Path) -> Result<Tree, WalkError> {
    let root = root.canonicalize().map_err(|source| WalkError {
        root: root.to_owned(),
        source,
    })?;
    let base = if root.is_file() {
        root.parent().unwrap_or(&root).to_owned()
    } else {
        root.clone()
    };
    let mut tree = Tree {
        folders: if root.is_file() { vec![base.clone()] } else { Vec::new() },
        base,
        ..Tree::default()
    };
    let walk = WalkBuilder::new(&root)
        .hidden(false)
        .require_git(false) // an ignore file says the same thing before `git init`
        .filter_entry(|entry| !EXCLUDED.iter().any(|name| entry.file_name() == *name))
        .build();
    for entry in walk {
        match entry {
            Ok(entry) => {
                tree.errors.extend(entry.error().map(ToString::to_string));
                let kind = entry.file_type();
                if kind.is_some_and(|kind| kind.is_dir()) {
                    tree.folders.push(entry.into_path());
                } else if kind.is_some_and(|kind| kind.is_file()) {
                    match relative_path(&tree.base, entry.path()) {
                        Some(path) => {
                            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                            let bytes = if source::is_read(&path, bytes) { bytes } else { 0 };
                            tree.files.push(Found { path, bytes });
                        }
                        None => tree.unnameable.push(entry.into_path()),
                    }
                }
            }
            Err(error) => tree.errors.push(error.to_string()),
        }
    }
    tree.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(tree)
}

fn relative_path(base: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(base).ok()?.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn ignored_files_are_left_out_and_hidden_ones_are_not() {
        let folder = tree(&[
            (".gitignore", "target/\n*.log\n!keep.log\n"),
            (".github/ci.yml", ""),
            (".git/config", ""),
            (".weir/index/a.redb", ""),
            ("b.rs", ""),
            ("a.rs", ""),
            ("a/z.rs", ""),
            ("run.log", ""),
            ("keep.log", ""),
            ("sub/.gitignore", "c.rs"),
            ("sub/c.rs", ""),
            ("target/debug/out.rs", ""),
        ]);
        let tree = walk(folder.path()).unwrap();
        let expected = [
            ".github/ci.yml",
            ".gitignore",
            "a.rs",
            "a/z.rs",
            "b.rs",
            "keep.log",
            "sub/.gitignore",
        ];
        assert_eq!(paths(&tree), expected);
        let looked_into = ["", ".github", "a", "sub"].map(|name| tree.base.join(name));
        assert_eq!(BTreeSet::from_iter(tree.folders), BTreeSet::from(looked_into));
        assert_eq!(tree.errors, [""; 0]);
    }

    #[test]
    fn a_single_file_is_a_tree_of_one() {
        let folder = tree(&[("a.rs", ""), ("b.rs", "")]);
        let tree = walk(&folder.path().join("b.rs")).unwrap();
        assert_eq!(paths(&tree), ["b.rs"]);
        assert_eq!(tree.folders, std::slice::from_ref(&tree.base));
    }

    #[test]
    fn a_missing_root_is_named() {
        let error = walk(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(
            error.to_string().starts_with("/nowhere/at/all can't be indexed: "),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tree(&[("a.rs", "")]);
        std::os::unix::fs::symlink(folder.path().join("a.rs"), folder.path().join("link.rs")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        assert_eq!(paths(&walk(folder.path()).unwrap()), ["a.rs"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_whose_name_is_no_text_is_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tree(&[("a.rs", "")]);
        let name = std::ffi::OsStr::from_bytes(b"\xff.rs");
        fs::write(folder.path().join(name), "").unwrap();
        let tree = walk(folder.path()).unwrap();
        assert_eq!(paths(&tree), ["a.rs"]);
        assert_eq!(tree.unnameable.len(), 1);
    }
}
