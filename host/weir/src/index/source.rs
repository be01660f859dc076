//! A file's content, if it is worth indexing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

/// Larger files are data or generated, nearly always, and would crowd the rest out of every search.
pub const MAX_BYTES: u64 = 1 << 20;

/// Where a NUL makes a file binary: git looks at as much (`FIRST_FEW_BYTES`, xdiff-interface.c).
const BINARY_PROBE: usize = 8_000;

/// Lines in which a file says that it is generated: rustfmt's default for `generated_marker_line_search_limit`.
const MARKER_LINES: usize = 5;

/// A longer line was not written by hand: it is minified code or encoded data.
const MAX_LINE: usize = 5_000;

/// Lines of JavaScript and CSS above this on average are minified: GitHub Linguist's rule.
const MINIFIED_MEAN_LINE: usize = 110;

/// Why a file is not indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// A NUL near its beginning.
    Binary,
    /// Text in another encoding than UTF-8.
    Encoding,
    /// A lock file, marked as generated, or minified.
    Generated,
    /// Over [`MAX_BYTES`].
    Huge,
    /// Its name is not Unicode.
    Name,
}

impl Skip {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Skip::Binary => "binary",
            Skip::Encoding => "not UTF-8",
            Skip::Generated => "generated",
            Skip::Huge => "huge",
            Skip::Name => "name",
        }
    }
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// Text to index.
    Text(String),
    /// Nothing to index.
    Skipped(Skip),
    /// It was deleted since the walk.
    Gone,
}

/// Whether a file of this name and size is read at all.
pub fn is_read(path: &str, bytes: u64) -> bool {
    bytes <= MAX_BYTES && !is_lock_file(path)
}

/// Reads a file, unless its name or size tells that it is not worth it.
pub fn read(file: &Path, path: &str) -> io::Result<Source> {
    if is_lock_file(path) {
        return Ok(Source::Skipped(Skip::Generated));
    }
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Source::Gone),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(Source::Skipped(Skip::Huge));
    }
    Ok(classify(path, bytes))
}

fn classify(path: &str, bytes: Vec<u8>) -> Source {
    if bytes.iter().take(BINARY_PROBE).any(|byte| *byte == 0) {
        return Source::Skipped(Skip::Binary);
    }
    match String::from_utf8(bytes) {
        Err(_) => Source::Skipped(Skip::Encoding),
        Ok(text) if is_marked_generated(&text) || is_minified(path, &text) => Source::Skipped(Skip::Generated),
        Ok(text) => Source::Text(text),
    }
}

fn is_lock_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".lock")
        || name.ends_with(".min.js")
        || name.ends_with(".min.css")
        || matches!(
            name,
            "package-lock.json" | "npm-shrinkwrap.json" | "pnpm-lock.yaml" | "go.sum"
        )
}

fn is_marked_generated(text: &str) -> bool {
    // Go's own words: https://go.dev/s/generatedcode
    let marks =
        |line: &str| line.contains("@generated") || line.contains("Code generated ") && line.contains(" DO NOT EDIT.");
    text.lines().take(MARKER_LINES).any(marks)
}

fn is_minified(path: &str, text: &str) -> bool {
    let (mut lines, mut longest) = (0, 0);
    for line in text.lines() {
        lines += 1;
        longest = longest.max(line.len());
    }
    let web = [".js", ".mjs", ".cjs", ".css"]
        .iter()
        .any(|extension| path.ends_with(extension));
    longest > MAX_LINE || web && lines > 0 && text.len() / lines > MINIFIED_MEAN_LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str, content: &[u8]) -> Source {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, content).unwrap();
        read(&file, path).unwrap()
    }

    #[test]
    fn text_is_read_whole() {
        assert_eq!(
            kind("a.rs", "fn ü() {}\n".as_bytes()),
            Source::Text("fn ü() {}\n".to_owned())
        );
        assert_eq!(kind("a.rs", b""), Source::Text(String::new()));
    }

    #[test]
    fn binary_files_are_skipped() {
        assert_eq!(kind("a.rs", b"fn a() {}\0"), Source::Skipped(Skip::Binary));
        assert_eq!(kind("a.txt", b"caf\xe9"), Source::Skipped(Skip::Encoding));
    }

    #[test]
    fn generated_files_are_skipped() {
        let generated = Source::Skipped(Skip::Generated);
        assert_eq!(kind("sub/Cargo.lock", b"[[package]]"), generated);
        assert_eq!(kind("package-lock.json", b"{}"), generated);
        assert_eq!(kind("a.rs", b"//\n// @generated by x\nfn a() {}"), generated);
        assert_eq!(
            kind("a.go", b"// Code generated by protoc. DO NOT EDIT.\npackage a"),
            generated
        );
        assert_eq!(kind("a.js", "var a=1;".repeat(40).as_bytes()), generated);
        assert_eq!(kind("a.json", "[1],".repeat(2_000).as_bytes()), generated);
    }

    #[test]
    fn a_word_about_generated_files_further_down_is_no_marker() {
        let text = "\n".repeat(MARKER_LINES) + "// skips files marked @generated\n";
        assert_eq!(kind("a.rs", text.as_bytes()), Source::Text(text));
    }

    #[test]
    fn files_over_a_mebibyte_are_skipped() {
        let line = "0123456789abcde\n";
        let fits = line.repeat(MAX_BYTES as usize / line.len());
        assert_eq!(kind("a.txt", fits.as_bytes()), Source::Text(fits.clone()));
        assert_eq!(kind("a.txt", (fits + "x").as_bytes()), Source::Skipped(Skip::Huge));
    }

    #[test]
    fn a_file_deleted_since_the_walk_is_gone() {
        assert_eq!(read(Path::new("/nowhere/a.rs"), "a.rs").unwrap(), Source::Gone);
    }
}
