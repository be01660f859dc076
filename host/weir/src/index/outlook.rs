//! How much a run will have sent at its end, judged by what it has cut so far.
//!
//! Files differ in size by a thousand times, and languages in how many chunks a kilobyte makes. So what is left is judged by
//! its bytes, each language by what was cut of it, and by all that was cut where that is nothing yet.

use std::collections::HashMap;

use super::language;
use super::walk::Tree;

/// Bytes, and what came of them.
#[derive(Debug, Default, Clone, Copy)]
struct Cut {
    bytes: u64,
    chunks: u64,
    tokens: u64,
}

/// What is known of one language.
#[derive(Debug, Default)]
struct Language {
    left: u64,
    cut: Cut,
}

/// Grows surer with every file that is prepared.
#[derive(Debug, Default)]
pub struct Outlook(HashMap<&'static str, Language>);

/// Chunks and tokens of a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Chunks to be sent.
    pub chunks: u64,
    /// Estimated tokens of them.
    pub tokens: u64,
}

impl Outlook {
    /// Nothing of the tree is prepared yet.
    pub fn of(tree: &Tree) -> Outlook {
        let mut languages: HashMap<_, Language> = HashMap::new();
        for file in &tree.files {
            languages.entry(language::of_path(&file.path).0).or_default().left += file.bytes;
        }
        Outlook(languages)
    }

    /// A file was prepared: it makes so many chunks and tokens, none if it is not to be sent.
    pub fn prepared(&mut self, path: &str, bytes: u64, chunks: u64, tokens: u64) {
        let language = self.0.entry(language::of_path(path).0).or_default();
        language.left = language.left.saturating_sub(bytes);
        language.cut.bytes += bytes;
        language.cut.chunks += chunks;
        language.cut.tokens += tokens;
    }

    /// All that was cut, and what the rest will probably make. None before anything was.
    pub fn whole(&self) -> Option<Whole> {
        let mut all = Cut::default();
        for Language { cut, .. } in self.0.values() {
            all.bytes += cut.bytes;
            all.chunks += cut.chunks;
            all.tokens += cut.tokens;
        }
        if all.bytes == 0 {
            return None;
        }
        let (mut chunks, mut tokens) = (all.chunks as f64, all.tokens as f64);
        for Language { left, cut } in self.0.values() {
            let like = if cut.bytes > 0 { cut } else { &all };
            let share = *left as f64 / like.bytes as f64;
            chunks += like.chunks as f64 * share;
            tokens += like.tokens as f64 * share;
        }
        Some(Whole {
            chunks: chunks.round() as u64,
            tokens: tokens.round() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::index::chunk::MAX_CHARACTERS;
    use crate::index::prepare::{Prepared, prepare};
    use crate::index::walk::{Found, walk};

    fn tree(files: &[(&str, u64)]) -> Tree {
        let found = |(path, bytes): &(&str, u64)| Found {
            path: (*path).into(),
            bytes: *bytes,
        };
        Tree {
            files: files.iter().map(found).collect(),
            ..Tree::default()
        }
    }

    #[test]
    fn what_is_left_is_judged_by_its_bytes_and_its_language() {
        let mut outlook = Outlook::of(&tree(&[
            ("a.rs", 100),
            ("b.rs", 300),
            ("c.md", 50),
            ("d.md", 50),
            ("e.c", 80),
        ]));
        assert_eq!(outlook.whole(), None);
        outlook.prepared("a.rs", 100, 1, 10);
        // Of nothing but Rust is anything known.
        assert_eq!(outlook.whole().unwrap().chunks, 1 + 3 + 1 + 1);
        outlook.prepared("c.md", 50, 5, 50);
        // Markdown has ten times as many; C is taken for the mean of both, 6 in 150 bytes.
        let whole = outlook.whole().unwrap();
        assert_eq!(whole.chunks, 1 + 3 + 5 + 5 + 3);
        assert_eq!(whole.tokens, 10 + 30 + 50 + 50 + 32);
    }

    #[test]
    fn a_file_that_is_not_sent_lowers_the_outlook() {
        let mut outlook = Outlook::of(&tree(&[("a.rs", 100), ("b.rs", 100), ("c.rs", 200)]));
        outlook.prepared("a.rs", 100, 4, 0);
        assert_eq!(outlook.whole().unwrap().chunks, 16);
        outlook.prepared("b.rs", 100, 0, 0);
        assert_eq!(outlook.whole().unwrap().chunks, 8);
    }

    #[test]
    fn after_a_third_of_this_program_s_own_sources_it_is_within_a_tenth() {
        let tree = walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
        let mut outlook = Outlook::of(&tree);
        let (mut chunks, mut outlooks) = (0, Vec::new());
        for Found { path, bytes } in &tree.files {
            let prepared = prepare(&tree.base, path.clone(), None, MAX_CHARACTERS).unwrap();
            let (count, tokens) = match &prepared {
                Prepared::Changed(file) => (file.chunks.len() as u64, file.tokens()),
                _ => (0, 0),
            };
            outlook.prepared(path, *bytes, count, tokens);
            chunks += count;
            outlooks.push((chunks, outlook.whole().unwrap()));
        }
        let third = outlooks.iter().find(|(so_far, _)| *so_far >= chunks / 3).unwrap().1;
        let share = third.chunks as f64 / chunks as f64;
        assert!((0.9..=1.1).contains(&share), "{} of {chunks}", third.chunks);
        assert_eq!(outlooks.last().unwrap().1.chunks, chunks);
    }
}
