//! What of a file's structure its chunks follow: its named items, and where to cut between them.
//!
//! A syntax tree takes up to 120 bytes for each of its text. So a long file of code is parsed part by part, each some items
//! long, and no tree is kept: what indexing needs in memory does not depend on how long files are. A part ends in front of a
//! line that looks like the beginning of an item. It is taken if it is whole by itself; where it is not, the line was inside
//! of an item, or the file is broken, and a part twice as long is taken. An item that is longer than all that is parsed in
//! parts as well: what is in it is not named after it then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use text_splitter::{ChunkConfig, MarkdownSplitter, TextSplitter};
use tree_sitter::{Parser, Tree};

use super::cut;
use super::language::Syntax;
use super::symbol::{self, Item};

/// Bytes of a part, at least: most files are shorter, and parsed whole.
const PART: usize = 64 << 10;

/// So many times as long is a part at most.
const LONGEST: usize = 4;

/// The structure of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// Its items, outer before inner, in the file's order.
    pub items: Vec<Item>,
    /// Where to cut into pieces, in ascending order.
    pub cuts: Vec<usize>,
}

impl Structure {
    /// The structure of a text, to be cut into pieces of at most `most` characters, unless a part of it can't be cut.
    pub fn of(syntax: Syntax, text: &str, most: usize) -> Structure {
        if let Some(mut parser) = syntax.parser() {
            return Structure::of_code(syntax, &mut parser, text, most, PART);
        }
        let config = ChunkConfig::new(most).with_trim(false);
        match syntax {
            Syntax::Markdown => Structure {
                items: symbol::sections(text),
                cuts: offsets(MarkdownSplitter::new(config).chunk_indices(text)),
            },
            _ => Structure {
                items: Vec::new(),
                cuts: offsets(TextSplitter::new(config).chunk_indices(text)),
            },
        }
    }

    fn of_code(syntax: Syntax, parser: &mut Parser, text: &str, most: usize, part: usize) -> Structure {
        // Blank lines before the first are no part of the first piece.
        let mut structure = Structure {
            items: Vec::new(),
            cuts: vec![0],
        };
        let mut start = 0;
        while let Some(Part { end, tree, _alone }) = next_part(parser, text, start, part) {
            let text = text.get(start..end).unwrap_or_default();
            structure.items.extend(symbol::definitions(syntax, &tree, text, start));
            cut::cut(&mut structure.cuts, &tree, start, most);
            start = end;
        }
        structure
    }
}

/// A part of a text.
struct Part {
    end: usize,
    tree: Tree,
    /// Held as long as the tree of a long one.
    _alone: Option<MutexGuard<'static, ()>>,
}

/// The part that begins at `start`. None at the text's end.
fn next_part(parser: &mut Parser, text: &str, start: usize, part: usize) -> Option<Part> {
    /// One long tree at a time, whoever asks: there may be more readers than there is memory for such trees.
    static ALONE: Mutex<()> = Mutex::new(());
    let left = text.get(start..).filter(|left| !left.is_empty())?;
    let most = LONGEST * part;
    let mut least = part;
    loop {
        let item = next_item(left, least).filter(|end| *end <= most);
        let end = item.unwrap_or_else(|| last_line(left, most));
        let alone = (end > 2 * part).then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
        let tree = parser.parse(left.get(..end)?, None)?;
        if item.is_none() || 2 * end > most || !tree.root_node().has_error() {
            return Some(Part {
                end: start + end,
                tree,
                _alone: alone,
            });
        }
        least = 2 * end;
    }
}

/// Where the first line behind `from` is that looks like the beginning of an item. Where it is inside of one, what is before
/// it is not whole.
fn next_item(text: &str, from: usize) -> Option<usize> {
    let is_newline = |byte: &u8| *byte == b'\n';
    let text = text.as_bytes();
    let mut offset = text
        .get(..from)?
        .iter()
        .rposition(is_newline)
        .map_or(0, |newline| newline + 1);
    let mut lines = text.get(offset..)?.split_inclusive(is_newline);
    let mut before = lines.next()?;
    for line in lines {
        offset += before.len();
        if begins_an_item(before.trim_ascii_end(), line) {
            return Some(offset);
        }
        before = line;
    }
    None
}

/// The end of the last line within `most` bytes: of an empty one, unless that is far from them. The text's end if it is not
/// longer, or has no line that short.
fn last_line(text: &str, most: usize) -> usize {
    let Some(head) = text.as_bytes().get(..most) else {
        return text.len();
    };
    let empty = head.windows(2).rposition(|two| two == b"\n\n").map(|place| place + 2);
    let line = || head.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
    empty.filter(|end| *end > most / 2).or_else(line).unwrap_or(text.len())
}

/// A letter or the mark of a comment or an attribute, not indented, after an empty line or the end of an item, which the last
/// line of a comment or an attribute is not.
fn begins_an_item(before: &[u8], line: &[u8]) -> bool {
    match line.first() {
        Some(b'_' | b'a'..=b'z' | b'A'..=b'Z') => match before.first() {
            Some(b' ' | b'\t' | b'/' | b'*' | b'#' | b'@') => false,
            Some(_) => before.ends_with(b"}") || before.ends_with(b";"),
            None => true,
        },
        Some(b'#' | b'@' | b'/') => before.is_empty() || before.starts_with(b"}"),
        _ => false,
    }
}

fn offsets<'a>(chunks: impl Iterator<Item = (usize, &'a str)>) -> Vec<usize> {
    chunks.map(|(offset, _)| offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(text: &str, part: usize) -> Structure {
        let mut parser = Syntax::Rust.parser().unwrap();
        Structure::of_code(Syntax::Rust, &mut parser, text, 60, part)
    }

    fn parts(text: &str, part: usize) -> Vec<&str> {
        let mut parser = Syntax::Rust.parser().unwrap();
        let mut parts = Vec::new();
        let mut start = 0;
        while let Some(Part { end, .. }) = next_part(&mut parser, text, start, part) {
            parts.push(&text[start..end]);
            start = end;
        }
        parts
    }

    #[test]
    fn in_parts_a_file_has_the_structure_it_has_as_a_whole() {
        let item = |number: usize| {
            format!("/// Number {number}.\n#[test]\nfn f{number}() {{\n    one({number});\n\n    two();\n}}\n\n")
        };
        let text: String = (0..50).map(item).collect();
        assert_eq!(parts(&text, 200).len(), 13);
        let whole = structure(&text, text.len());
        assert_eq!((whole.items.len(), whole.cuts.len()), (50, 50));
        assert_eq!(structure(&text, 200), whole);
    }

    #[test]
    fn a_part_ends_between_two_items() {
        let text = "fn a() {\n\n    b();\n}\nuse c;\n\n// d\nfn d() {}\n";
        assert_eq!(parts(text, 6), [&text[..21], &text[21..29], &text[29..]]);
        assert_eq!(parts(text, 25), [&text[..29], &text[29..]]);
    }

    #[test]
    fn what_is_not_whole_by_itself_is_no_part() {
        for text in [
            "/*\n\naaaaaaaaa\n\nb\n*/\nfn c() {}\n",
            "const A: &str = \"\n\nb\n\";\n",
            "mod a {\n\n\n\n\nfn b() {}\n}\n",
        ] {
            assert!(next_item(text, 10).is_some());
            assert_eq!(parts(text, 10), [text]);
        }
    }

    #[test]
    fn what_is_broken_is_parsed_in_longer_parts() {
        let text = "fn broken() { ) }\n\n".to_owned() + &"fn whole() {}\n\n".repeat(20);
        let lengths: Vec<usize> = parts(&text, 30).iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [79, 45, 45, 45, 45, 45, 15]);
        assert_eq!(structure(&text, 30), structure(&text, text.len()));
    }

    #[test]
    fn no_part_is_longer_than_the_longest_but_a_line() {
        let text = format!("mod a {{\n{}}}\n", "    fn b() {}\n\n".repeat(50));
        assert!(
            parts(&text, 20)
                .iter()
                .all(|part| part.len() <= 80 && part.ends_with('\n'))
        );
        assert_eq!(
            structure(&text, 20).items.len(),
            structure(&text, text.len()).items.len()
        );
        let line = format!("const A: &str = \"{}\";", "a".repeat(100));
        assert_eq!(parts(&line, 20), [&line]);
    }
}
