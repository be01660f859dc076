//! Which paths a search is for: those that contain a text, or those that match a pattern.
//!
//! A store knows whether a path contains a text; a pattern it is only asked for the longest text of, and the paths that
//! come back are matched here.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

/// What makes a text a pattern.
const WILD: [char; 4] = ['*', '?', '[', '{'];

/// Paths from the root of the tree, with `/`.
#[derive(Debug, Clone)]
pub struct PathFilter {
    text: String,
    pattern: Option<GlobMatcher>,
}

/// A pattern can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(#[from] globset::Error);

impl FromStr for PathFilter {
    type Err = BadPattern;

    /// A text without any of `*?[{` is looked for anywhere in a path. A pattern without a `/` is one for a file's name,
    /// any other for the whole path; `*` matches within a folder, `**` across.
    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let pattern = if text.contains(WILD) {
            let anywhere = if text.contains('/') { "" } else { "**/" };
            let glob = GlobBuilder::new(&format!("{anywhere}{text}"))
                .literal_separator(true)
                .build()?;
            Some(glob.compile_matcher())
        } else {
            None
        };
        Ok(Self {
            text: text.to_owned(),
            pattern,
        })
    }
}

impl PathFilter {
    /// Whether paths have to be matched here.
    pub fn is_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    /// The text that every such path contains, if there is one.
    pub fn contained(&self) -> Option<&str> {
        if !self.is_pattern() {
            return Some(&self.text);
        }
        // Of a class or an alternative, and of what is escaped, no text is certain.
        if self.text.contains(['[', '{', '\\']) {
            return None;
        }
        let pieces = self.text.split(['*', '?']).filter(|piece| piece.len() > 1);
        // `a/**/b` matches `a/b`, so the slashes around `**` are not certain.
        pieces
            .map(|piece| piece.trim_matches('/'))
            .max_by_key(|piece| piece.len())
            .filter(|piece| !piece.is_empty())
    }

    /// Whether a path is one of those.
    pub fn matches(&self, path: &str) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.is_match(path),
            None => path.contains(&self.text),
        }
    }
}

impl fmt::Display for PathFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> PathFilter {
        text.parse().unwrap()
    }

    #[test]
    fn a_plain_text_is_looked_for_anywhere() {
        assert!(filter("src/").matches("host/src/a.rs"));
        assert_eq!(filter("src/").contained(), Some("src/"));
        assert!(!filter("src/").is_pattern());
    }

    #[test]
    fn a_pattern_without_a_slash_is_one_for_the_files_name() {
        assert!(filter("*.rs").matches("host/src/a.rs") && filter("*.rs").matches("a.rs"));
        assert!(!filter("*.rs").matches("a.rs/b.py"));
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_do_not() {
        assert!(filter("host/*/a.rs").matches("host/src/a.rs"));
        assert!(!filter("host/*/a.rs").matches("host/src/b/a.rs"));
        assert!(filter("host/**/a.rs").matches("host/src/b/a.rs") && filter("host/**/a.rs").matches("host/a.rs"));
        assert!(filter("{a,b}/*.md").matches("b/c.md"));
    }

    #[test]
    fn what_the_store_is_asked_for_is_in_every_path_that_matches() {
        let cases = [
            ("*.rs", Some(".rs")),
            ("host/**/a.rs", Some("a.rs")),
            ("*", None),
            ("[ab]/src/*.rs", None),
            ("src/*", Some("src")),
        ];
        for (pattern, contained) in cases {
            assert_eq!(filter(pattern).contained(), contained, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_can_not_be_read_is_refused_with_its_text() {
        assert!(
            "src/[a"
                .parse::<PathFilter>()
                .unwrap_err()
                .to_string()
                .contains("src/[a")
        );
    }
}
