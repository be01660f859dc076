//! What of a file's structure its chunks follow: its named items, and where to cut between them.

use text_splitter::{ChunkConfig, MarkdownSplitter, TextSplitter};
use tree_sitter::Parser;

use super::cut;
use super::language::Syntax;
use super::part::{PART, Part, next_part};
use super::symbol::{self, Item};

/// The structure of a file.
#[derive(Debug, PartialEq, Eq)]
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

    fn assert_like_whole(text: &str, part: usize) -> Structure {
        let whole = structure(text, text.len());
        assert_eq!(structure(text, part), whole);
        whole
    }

    #[test]
    fn in_parts_a_file_has_the_structure_it_has_as_a_whole() {
        let item = |number: usize| {
            format!("/// Number {number}.\n#[test]\nfn f{number}() {{\n    one({number});\n\n    two();\n}}\n\n")
        };
        let whole = assert_like_whole(&(0..50).map(item).collect::<String>(), 200);
        assert_eq!((whole.items.len(), whole.cuts.len()), (50, 50));
    }

    #[test]
    fn a_broken_item_takes_no_other_with_it() {
        let text = "fn broken() { ) }\n\n".to_owned() + &"fn whole() {}\n\n".repeat(20);
        assert_eq!(assert_like_whole(&text, 30).items.len(), 21);
    }

    #[test]
    fn of_an_item_longer_than_a_part_every_item_in_it_is_found() {
        let text = format!("mod a {{\n{}}}\n", "    fn b() {}\n\n".repeat(50));
        let functions = |structure: Structure| structure.items.iter().filter(|item| item.kind == "function").count();
        assert_eq!(functions(structure(&text, 20)), 50);
    }
}
