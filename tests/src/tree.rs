//! A folder of source files to index.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

/// What the sample's files are about: a name, and a sentence that shares no word with the others' but the plainest.
const TOPICS: [(&str, &str); 10] = [
    ("invoice", "adds up the lines of an invoice and the tax on them"),
    ("thermostat", "keeps a heated room at the temperature it was set to"),
    ("harbour", "assigns berths to ships as they arrive with the tide"),
    ("orchard", "estimates the harvest of apple trees from their age"),
    ("lending", "lends books and reminds readers who are late"),
    ("railway", "plans trains so that no two share a track"),
    ("bakery", "scales recipes to the loaves that were ordered"),
    ("barometer", "smooths pressure readings over a day and forecasts rain"),
    ("museum", "counts visitors and closes galleries that are full"),
    ("garden", "waters vegetable beds by the dryness of their soil"),
];

/// Which files of the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// Rust, C, Python, JavaScript, Markdown and TOML.
    Sources,
    /// Whatever they hold.
    All,
}

/// A folder with files; gone when dropped.
pub struct Tree {
    folder: TempDir,
}

impl Tree {
    /// An empty folder.
    pub fn new() -> anyhow::Result<Tree> {
        Ok(Tree {
            folder: tempfile::tempdir()?,
        })
    }

    /// `copies` folders of 30 files each, ten in Rust, ten in Python, ten in Markdown, from one chunk to several long.
    pub fn sample(copies: usize) -> anyhow::Result<Tree> {
        let tree = Tree::new()?;
        for copy in 0..copies {
            for (number, (name, does)) in TOPICS.into_iter().enumerate() {
                // From 1 part to 8: an indexer cuts the longer ones.
                let parts = 1 + (number * 3 + copy) % 8;
                tree.write(&format!("part{copy}/src/{name}.rs"), rust(name, does, parts))?;
                tree.write(&format!("part{copy}/scripts/{name}.py"), python(name, does, parts))?;
                tree.write(&format!("part{copy}/docs/{name}.md"), markdown(name, does, parts))?;
            }
        }
        Ok(tree)
    }

    /// `count` files of the packages that cargo has unpacked on this machine, the same ones every time; of fewer than that,
    /// copies under another name. They are links to the files themselves.
    ///
    /// # Errors
    /// If there are none.
    pub fn of_packages(count: usize, kinds: Kinds) -> anyhow::Result<Tree> {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
        let registry = home.context("no home folder")?.join("registry/src");
        let mut files = Vec::new();
        gather(&registry, kinds, &mut files)?;
        files.sort();
        anyhow::ensure!(!files.is_empty(), "there are no packages in {}", registry.display());
        let tree = Tree::new()?;
        for (number, file) in files.iter().cycle().take(count).enumerate() {
            let copy = number / files.len();
            let path = tree.path().join(copy.to_string()).join(file.strip_prefix(&registry)?);
            fs::create_dir_all(path.parent().context("no folder")?)?;
            if fs::hard_link(file, &path).is_err() {
                fs::copy(file, &path)?;
            }
        }
        Ok(tree)
    }

    /// Writes a file, and the folders it is in.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let file = self.path().join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(file, content)?)
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.path().join(path))?)
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.path().join(path))?)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The files below a folder.
fn gather(folder: &Path, kinds: Kinds, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    const SOURCES: [&str; 6] = ["rs", "md", "py", "c", "js", "toml"];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_source = extension.is_some_and(|extension| SOURCES.contains(&extension));
        if kind.is_dir() {
            gather(&path, kinds, files)?;
        } else if kind.is_file() && (is_source || kinds == Kinds::All) {
            files.push(path);
        }
    }
    Ok(())
}

// Writing to a text can't fail, so the results below are let go.

fn rust(name: &str, does: &str, parts: usize) -> String {
    let mut text = format!("//! It {does}.\n");
    for part in 0..parts {
        let _ = write!(
            text,
            "\n/// Step {part} of what {does}.\npub fn {name}_step_{part}(amounts: &[u64], limit: u64) -> u64 {{\n    \
             let mut sum = {part};\n    for amount in amounts {{\n        if *amount < limit {{\n            \
             sum += amount * {factor};\n        }}\n    }}\n    sum\n}}\n",
            factor = part + 2
        );
    }
    text
}

fn python(name: &str, does: &str, parts: usize) -> String {
    let mut text = format!("\"\"\"It {does}.\"\"\"\n");
    for part in 0..parts {
        let _ = write!(
            text,
            "\n\ndef {name}_part_{part}(amounts, limit):\n    \"\"\"Part {part} of what {does}.\"\"\"\n    \
             kept = [amount for amount in amounts if amount < limit]\n    \
             scaled = [amount * {factor} for amount in kept]\n    return sum(scaled) + {part}\n",
            factor = part + 3
        );
    }
    text
}

fn markdown(name: &str, does: &str, parts: usize) -> String {
    let mut text = format!("# The {name}\n\nIt {does}.\n");
    for part in 0..parts {
        let _ = write!(
            text,
            "\n## Rule {part} of the {name}\n\nRule {part} says how it {does}. It holds for every amount below the \
             limit,\nwhich is multiplied by {factor}, and for none above it. Exceptions are written down by\nhand, \
             signed, and kept with the rule.\n",
            factor = part + 4
        );
    }
    text
}
