//! Where a syntax tree says to cut.
//!
//! Nodes that follow each other stay together as long as they fit. One that does not fit any more begins the next piece; one
//! that is too long for a piece is cut within, by the same rule. So a piece ends between two nodes of the highest level
//! at which it can.

use tree_sitter::Tree;

/// A piece shorter than this part of the longest is not ended for the sake of a node that has to be cut anyway: an item's
/// first lines are worth more with the comment or the imports above them than these are alone.
const WORTH_A_PIECE: usize = 5;

/// Adds the places to cut into pieces of at most `most` bytes, in ascending order: those of the tree of the text from
/// `offset` on. Where a node without parts is longer than that, a piece is longer too.
pub fn cut(cuts: &mut Vec<usize>, tree: &Tree, offset: usize, most: usize) {
    let mut piece = cuts.last().copied().unwrap_or(0);
    let mut cursor = tree.walk();
    // The root is no item: the piece before it goes on with its first ones.
    if !cursor.goto_first_child() {
        return;
    }
    loop {
        let range = cursor.node().byte_range();
        let range = offset + range.start..offset + range.end;
        if range.end.saturating_sub(piece) > most {
            let fits_alone = range.len() <= most;
            let before = range.start.saturating_sub(piece);
            if before > 0 && (fits_alone || before >= most / WORTH_A_PIECE) {
                cuts.push(range.start);
                piece = range.start;
            }
            if !fits_alone && cursor.goto_first_child() {
                continue;
            }
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::language::Syntax;

    fn pieces(text: &str, most: usize) -> Vec<&str> {
        let tree = Syntax::Rust.parser().unwrap().parse(text, None).unwrap();
        let (mut pieces, mut cuts) = (Vec::new(), Vec::new());
        cut(&mut cuts, &tree, 0, most);
        let mut start = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            pieces.push(&text[start..cut]);
            start = cut;
        }
        pieces
    }

    #[test]
    fn what_fits_stays_together_and_the_next_item_begins_a_piece() {
        let text = "use a;\nuse b;\nfn c() { 1 }\nfn d() { 2 }\n";
        assert_eq!(pieces(text, 100), [text]);
        assert_eq!(pieces(text, 27), ["use a;\nuse b;\nfn c() { 1 }\n", "fn d() { 2 }\n"]);
    }

    #[test]
    fn an_item_that_is_too_long_is_cut_between_its_parts() {
        let function = |name: &str| format!("    fn {name}() {{ {} }}\n", "work(); ".repeat(12));
        let functions = ["c", "d", "e"].map(function).concat();
        let text = format!("use a;\nimpl B {{\n{functions}}}\n");
        let [first, second] = pieces(&text, 250)[..] else {
            panic!("{:?}", pieces(&text, 250))
        };
        assert!(first.starts_with("use a;\nimpl B {") && second.starts_with("fn e()"));
    }

    #[test]
    fn an_item_that_is_too_long_begins_a_piece_where_the_one_before_is_worth_it() {
        let text = "use aaaaaaaaaaaa;\nfn b() {\n    one(1);\n    two(2);\n    three(3);\n}\n";
        assert_eq!(pieces(text, 40)[0], "use aaaaaaaaaaaa;\n");
    }
}
