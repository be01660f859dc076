//! A long file of code in parts, each with its syntax tree.
//!
//! A syntax tree takes up to 120 bytes for each of its text. So a long file is parsed part by part, each some items long, and
//! no tree is kept: what trees need in memory does not depend on how long files are. A part ends in front of a line that
//! looks like the beginning of an item. It is taken if it is whole by itself; where it is not, the line was inside of an item,
//! or the file is broken, and a part twice as long is taken. An item that is longer than all that is parsed in parts as
//! well: what is in it is not named after it then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tree_sitter::{Parser, Tree};

/// Bytes of a part, at least: most files are shorter, and parsed whole.
pub const PART: usize = 64 << 10;

/// So many times as long is a part at most.
const LONGEST: usize = 4;

/// A part of a text.
pub struct Part {
    /// Where it ends.
    pub end: usize,
    /// Its syntax tree.
    pub tree: Tree,
    /// Held as long as the tree of a long one.
    pub _alone: Option<MutexGuard<'static, ()>>,
}

/// The part that begins at `start`, of `part` bytes or more. None at the text's end.
pub fn next_part(parser: &mut Parser, text: &str, start: usize, part: usize) -> Option<Part> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::language::Syntax;

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
    }

    #[test]
    fn no_part_is_longer_than_the_longest_but_a_line() {
        let text = format!("mod a {{\n{}}}\n", "    fn b() {}\n\n".repeat(50));
        let parts_of_text = parts(&text, 20);
        assert!(
            parts_of_text
                .iter()
                .all(|part| part.len() <= 80 && part.ends_with('\n'))
        );
        let line = format!("const A: &str = \"{}\";", "a".repeat(100));
        assert_eq!(parts(&line, 20), [&line]);
    }
}
