//! A file's text in pieces that follow its structure.
//!
//! Places to cut are found by the syntax tree for code ([`super::cut`]), and by `text-splitter` for the rest: headings and
//! blocks of Markdown, paragraphs and sentences of other text. They are moved here to the beginnings of lines, so that a
//! piece can be named by its lines, and in front of the comments that lead to an item. No text is lost: the pieces, one after
//! the other, are the file, but for pieces that are nothing but white space. A piece that is still too long is split at a
//! line, and a line that is too long within it.
//!
//! What is embedded of a chunk is [`Chunk::embedded_text`]: a line with its path and symbol, then its text.

use std::ops::Range;
use std::sync::Arc;

use super::language::{self, Syntax};
use super::structure::Structure;
use super::symbol::{self, Item};
use weir_runtime::estimate;

/// Most characters of a chunk: 430 to 540 tokens on average, by language (see [`estimate`]), and a screenful for a
/// person. Models with a small window get smaller ones, see [`max_characters`].
pub const MAX_CHARACTERS: usize = 1_500;

/// A model with room for less than this could not tell one chunk from another.
const MIN_CHARACTERS: usize = 200;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The file's path from the root of the tree, with `/`.
    pub path: Arc<str>,
    /// Its first line, from 1.
    pub start_line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The language's name; `text` where it is not known.
    pub language: &'static str,
    /// What the symbol is: `function`, `struct`, `section`, ….
    pub kind: Option<&'static str>,
    /// The item it belongs to or begins: `Pool::send`.
    pub symbol: Option<String>,
    /// The text, as it is in the file.
    pub text: String,
}

impl Chunk {
    /// What a model is given of it: a header line of path and symbol, then the text.
    pub fn embedded_text(&self) -> String {
        with_header(&self.path, self.symbol.as_deref(), &self.text)
    }
}

/// A chunk's text under its header line, as it is embedded, and as a reranker reads it.
pub fn with_header(path: &str, symbol: Option<&str>, text: &str) -> String {
    match symbol {
        Some(symbol) => format!("{path} {symbol}\n{text}"),
        None => format!("{path}\n{text}"),
    }
}

/// Most characters of a chunk for a model that takes `max_item_tokens` in one text.
pub fn max_characters(max_item_tokens: Option<u32>) -> usize {
    let room = max_item_tokens.map_or(MAX_CHARACTERS, estimate::characters_for);
    room.clamp(MIN_CHARACTERS, MAX_CHARACTERS)
}

/// Cuts a file into chunks of at most `max` characters.
pub fn chunks(path: &str, text: &str, max: usize) -> Vec<Chunk> {
    let (language, syntax) = language::of_path(path);
    let structure = structure(syntax, text, max);
    let path: Arc<str> = path.into();
    let mut line = 1;
    let mut chunks = Vec::new();
    for piece in pieces(&structure, text, max) {
        let Some(content) = text.get(piece.clone()) else {
            continue;
        };
        let newlines = count_newlines(content);
        let start_line = line;
        line += newlines;
        if content.trim().is_empty() {
            continue;
        }
        let symbol = symbol::symbol_of(&structure.items, text, &piece);
        chunks.push(Chunk {
            path: Arc::clone(&path),
            start_line,
            end_line: start_line + newlines - u32::from(content.ends_with('\n')),
            language,
            kind: symbol.map(|item| item.kind),
            symbol: symbol.map(|item| item.name.clone()),
            text: content.to_owned(),
        });
    }
    chunks
}

fn structure(syntax: Syntax, text: &str, max: usize) -> Structure {
    // Moving a cut to the beginning of its line makes the piece after it longer: by a line of code, mostly.
    Structure::of(syntax, text, max - max / 15)
}

/// The ranges of the pieces. They follow each other without a gap, from the text's beginning to its end.
fn pieces(structure: &Structure, text: &str, max: usize) -> Vec<Range<usize>> {
    let cuts = structure.cuts.iter();
    let mut cuts: Vec<usize> = cuts.filter_map(|cut| line_start(text, *cut)).collect();
    cuts.push(text.len());
    let mut pieces = Vec::new();
    let mut start = 0;
    for (place, cut) in cuts.iter().enumerate() {
        let next = cuts.get(place + 1).copied().unwrap_or(text.len());
        let end =
            before_comments(&structure.items, text, *cut).filter(|end| *end > start && fits(text, *end..next, max));
        let end = end.unwrap_or(*cut);
        if end > start {
            push_split(&mut pieces, text, start..end, max);
            start = end;
        }
    }
    pieces
}

/// Where to cut instead, if a cut would part an item from the comments and attributes that lead to it.
fn before_comments(items: &[Item], text: &str, cut: usize) -> Option<usize> {
    // In the order of their beginnings: what leads to the next one is all that a cut can part.
    let next = items.partition_point(|item| item.start < cut);
    let item = items.get(next).filter(|item| item.range.start < cut)?;
    line_start(text, item.range.start)
}

fn fits(text: &str, range: Range<usize>, max: usize) -> bool {
    text.get(range).is_some_and(|piece| piece.chars().nth(max).is_none())
}

/// The beginning of the line that the first visible character from `cut` on is in. None where none is left.
fn line_start(text: &str, cut: usize) -> Option<usize> {
    let visible = cut + text.get(cut..)?.find(|character: char| !character.is_whitespace())?;
    let before = text.get(..visible)?;
    Some(before.rfind('\n').map_or(0, |newline| newline + 1))
}

/// Adds a range as it is, or, if it is too long, split after the last line that fits, or within a line that does not.
fn push_split(pieces: &mut Vec<Range<usize>>, text: &str, range: Range<usize>, max: usize) {
    let mut start = range.start;
    while let Some(rest) = text.get(start..range.end) {
        let Some((limit, _)) = rest.char_indices().nth(max) else {
            break;
        };
        let fitting = rest.get(..limit).unwrap_or(rest);
        let length = fitting.rfind('\n').map_or(limit, |newline| newline + 1);
        pieces.push(start..start + length);
        start += length;
    }
    if start < range.end {
        pieces.push(start..range.end);
    }
}

fn count_newlines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every line is in the chunk that claims it, no character is lost, and none is too long.
    fn assert_covers(path: &str, text: &str, max: usize) {
        let syntax = language::of_path(path).1;
        let whole: String = pieces(&structure(syntax, text, max), text, max)
            .into_iter()
            .map(|piece| &text[piece])
            .collect();
        assert_eq!(whole, text);

        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let chunks = chunks(path, text, max);
        let mut seen = vec![String::new(); lines.len()];
        for chunk in &chunks {
            assert!(
                chunk.text.chars().count() <= max,
                "{} characters",
                chunk.text.chars().count()
            );
            assert!(chunk.start_line <= chunk.end_line);
            let last = chunk.end_line as usize;
            assert!(last <= lines.len());
            for (line, content) in (chunk.start_line as usize..=last).zip(chunk.text.split_inclusive('\n')) {
                seen[line - 1].push_str(content);
            }
        }
        for (line, seen) in lines.iter().zip(&seen) {
            if !line.trim().is_empty() {
                assert_eq!(line.trim_end(), seen.trim_end());
            }
        }
    }

    fn rust_file(functions: usize) -> String {
        let function = |n: usize| {
            let body: String = (0..8)
                .map(|line| format!("        let value_{line} = compute({n}, {line});\n"))
                .collect();
            format!("    /// Number {n}.\n    pub fn method_{n}(&self) {{\n{body}    }}\n\n")
        };
        let methods: String = (0..functions).map(function).collect();
        format!("//! A module.\n\nuse std::fmt;\n\nimpl Widget {{\n{methods}}}\n\nfn last() {{}}\n")
    }

    #[test]
    fn chunks_of_code_cover_every_line_and_begin_at_items() {
        let text = rust_file(30);
        assert_covers("src/widget.rs", &text, MAX_CHARACTERS);
        let chunks = chunks("src/widget.rs", &text, MAX_CHARACTERS);
        assert!(chunks.len() > 5);
        for chunk in &chunks {
            let beginnings = ["//! A", "impl Widget", "    /// Number", "}\n\nfn last"];
            assert!(
                beginnings.iter().any(|beginning| chunk.text.starts_with(beginning)),
                "{}",
                chunk.text
            );
            assert_eq!(chunk.language, "rust");
        }
        let methods = chunks.iter().filter(|chunk| chunk.text.starts_with("    /// Number"));
        for chunk in methods {
            assert!(chunk.symbol.as_deref().unwrap().starts_with("Widget::method_"));
            assert_eq!(chunk.kind, Some("function"));
        }
    }

    #[test]
    fn a_small_file_is_one_chunk() {
        let chunks = chunks("a.py", "\n\ndef f():\n    pass\n", MAX_CHARACTERS);
        assert_eq!(chunks.len(), 1);
        assert_eq!((chunks[0].start_line, chunks[0].end_line), (3, 4));
        assert_eq!(chunks[0].embedded_text(), "a.py f\ndef f():\n    pass\n");
    }

    #[test]
    fn an_oversized_item_is_split_and_nothing_of_it_dropped() {
        let comment: String = (0..400)
            .map(|n| format!(" * sentence number {n} of a comment\n"))
            .collect();
        let text = format!("/*\n{comment} */\nint f(void) {{ return 0; }}\n");
        assert_covers("f.c", &text, MAX_CHARACTERS);
        assert!(chunks("f.c", &text, MAX_CHARACTERS).len() > 8);
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_split_within() {
        let text = format!("short\n{}\nshort\n", "wörd ".repeat(1_000));
        assert_covers("a.txt", &text, MAX_CHARACTERS);
        assert_covers("a.md", &text, MAX_CHARACTERS);
        assert_covers("a.js", &format!("const a = '{}';\n", "x".repeat(4_000)), MAX_CHARACTERS);
    }

    #[test]
    fn a_file_of_white_space_has_no_chunks() {
        assert_eq!(chunks("a.rs", "", 100), []);
        assert_eq!(chunks("a.txt", " \n\n\t\n", 100), []);
        assert_eq!(chunks("a.txt", &"\n".repeat(5_000), 200), []);
    }

    #[test]
    fn the_lines_are_right_after_blank_ones_and_with_crlf() {
        assert_covers("a.txt", &format!("{}end\r\n", "\r\n".repeat(3_000)), MIN_CHARACTERS);
        assert_covers("a.md", &"# T\r\n\r\ntext text\r\n".repeat(100), MIN_CHARACTERS);
    }

    #[test]
    fn a_small_window_makes_smaller_chunks() {
        assert_eq!(max_characters(None), MAX_CHARACTERS);
        assert_eq!(max_characters(Some(8_192)), MAX_CHARACTERS);
        assert_eq!(max_characters(Some(256)), 512);
        assert_eq!(max_characters(Some(1)), MIN_CHARACTERS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_line_of_any_text_is_lost(
            lines in proptest::collection::vec("[ -~\\t]{0,60}|[ ]{0,4}(fn|def|class|#|//|/\\*|\\*/|\\{|\\}|```) ?[a-zé]{0,9}", 0..60),
            name in proptest::sample::select(vec!["a.rs", "a.py", "a.js", "a.tsx", "a.go", "a.c", "a.md", "a.txt"]),
        ) {
            assert_covers(name, &lines.join("\n"), MIN_CHARACTERS);
        }
    }
}
