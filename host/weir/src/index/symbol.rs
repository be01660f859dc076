//! The named items of a file (functions, types, modules, headings), and which of them a piece of it belongs to.

use std::ops::Range;

use tree_sitter::{Node, Tree};

use super::language::Syntax;

/// A named part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its bytes, from the first comment or attribute that leads to it.
    pub range: Range<usize>,
    /// Where it begins itself.
    pub start: usize,
    /// Its name, after the names of the items around it: `Pool::send`.
    pub name: String,
    /// `function`, `struct`, `class`, `section`, ….
    pub kind: &'static str,
}

/// The item that a piece of the file shows: the innermost one around its beginning, or else the first that begins in it.
pub fn symbol_of<'a>(items: &'a [Item], text: &str, piece: &Range<usize>) -> Option<&'a Item> {
    let blank = text
        .get(piece.clone())?
        .find(|character: char| !character.is_whitespace())?;
    let start = piece.start + blank;
    let begun = items.partition_point(|item| item.range.start <= start);
    let around = items
        .get(..begun)?
        .iter()
        .rev()
        .find(|item| item.range.contains(&start));
    around.or_else(|| items.get(begun).filter(|item| piece.contains(&item.range.start)))
}

/// Bytes of the shortest item: a method `a(){}`. Most nodes of a tree are shorter, and have no parts worth a look.
const SHORTEST_ITEM: usize = 5;

/// One level of the walk down the syntax tree.
struct Level {
    /// Where the comments and attributes began that lead to the next named node.
    leading: Option<usize>,
    /// How many items were open around this level.
    depth: usize,
}

/// The items of code, outer before inner, in its order. The text, whose tree it is, begins at `offset` of its file.
pub fn definitions(syntax: Syntax, tree: &Tree, text: &str, offset: usize) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut levels = vec![Level {
        leading: None,
        depth: 0,
    }];
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        let node_kind = node.kind();
        let mut inner_leading = None;
        if let Some(level) = levels.last_mut() {
            open.truncate(level.depth);
            if leads_to_an_item(node_kind) {
                level.leading.get_or_insert(node.start_byte());
            } else if node.is_named() {
                let start = level.leading.take().unwrap_or(node.start_byte());
                if wraps_an_item(node_kind) {
                    inner_leading = Some(start);
                } else if let Some((name, kind)) = definition(syntax, node_kind, node, text) {
                    open.push(name);
                    let name = open.join(syntax.path_separator());
                    items.push(Item {
                        range: offset + start..offset + node.end_byte(),
                        start: offset + node.start_byte(),
                        name,
                        kind,
                    });
                }
            }
        }
        if node.byte_range().len() > SHORTEST_ITEM && may_have_items(node_kind) && cursor.goto_first_child() {
            levels.push(Level {
                leading: inner_leading,
                depth: open.len(),
            });
            continue;
        }
        while !cursor.goto_next_sibling() {
            levels.pop();
            if !cursor.goto_parent() {
                return items;
            }
        }
    }
}

/// Most nodes are in parts that can have none: tokens of macros, lists of parameters, tables.
fn may_have_items(kind: &str) -> bool {
    !matches!(
        kind,
        "token_tree" | "token_tree_pattern" | "use_declaration" | "parameters" | "type_arguments" | "initializer_list"
    )
}

fn leads_to_an_item(kind: &str) -> bool {
    matches!(
        kind,
        "comment" | "line_comment" | "block_comment" | "attribute_item" | "decorator"
    )
}

fn wraps_an_item(kind: &str) -> bool {
    matches!(
        kind,
        "export_statement"
            | "decorated_definition"
            | "lexical_declaration"
            | "variable_declaration"
            | "type_declaration"
            | "ambient_declaration"
    )
}

/// The name and kind of a node that defines something. The node kinds are those of the grammars' `node-types.json`.
fn definition(syntax: Syntax, node_kind: &str, node: Node<'_>, text: &str) -> Option<(String, &'static str)> {
    let kind = match (syntax, node_kind) {
        (Syntax::Rust, "function_item" | "function_signature_item") => "function",
        (Syntax::Rust, "struct_item" | "union_item") => "struct",
        (Syntax::Rust, "enum_item") => "enum",
        (Syntax::Rust, "trait_item") => "trait",
        (Syntax::Rust, "impl_item") => "impl",
        (Syntax::Rust, "mod_item") => "module",
        (Syntax::Rust, "const_item" | "static_item") => "constant",
        (Syntax::Rust, "type_item") => "type",
        (Syntax::Rust, "macro_definition") => "macro",
        (Syntax::Python, "function_definition") => "function",
        (Syntax::Python, "class_definition") => "class",
        (
            Syntax::JavaScript | Syntax::TypeScript | Syntax::Tsx,
            "function_declaration" | "generator_function_declaration" | "method_definition" | "function_signature",
        ) => "function",
        (Syntax::JavaScript | Syntax::TypeScript | Syntax::Tsx, "class_declaration" | "abstract_class_declaration") => {
            "class"
        }
        (Syntax::JavaScript | Syntax::TypeScript | Syntax::Tsx, "variable_declarator") => {
            let value = node.child_by_field_name("value")?;
            match value.kind() {
                "arrow_function" | "function_expression" => "function",
                "class" => "class",
                _ => return None,
            }
        }
        (Syntax::TypeScript | Syntax::Tsx, "interface_declaration") => "interface",
        (Syntax::TypeScript | Syntax::Tsx, "enum_declaration") => "enum",
        (Syntax::TypeScript | Syntax::Tsx, "type_alias_declaration") => "type",
        (Syntax::TypeScript | Syntax::Tsx, "internal_module" | "module") => "module",
        (Syntax::Go, "function_declaration" | "method_declaration") => "function",
        (Syntax::Go, "type_spec" | "type_alias") => "type",
        (Syntax::C, "function_definition") => "function",
        (Syntax::C, "struct_specifier" | "union_specifier") => "struct",
        (Syntax::C, "enum_specifier") => "enum",
        (Syntax::C, "type_definition") => "type",
        (Syntax::C, "preproc_def" | "preproc_function_def") => "macro",
        _ => return None,
    };
    // In C `struct name` without a body only mentions it.
    if matches!(node_kind, "struct_specifier" | "union_specifier" | "enum_specifier") {
        node.child_by_field_name("body")?;
    }
    let name = name_of(node, node_kind)?;
    let name = name.utf8_text(text.as_bytes()).ok()?;
    // An implementation's type without its parameters.
    let name = if kind == "impl" {
        name.split('<').next().unwrap_or(name)
    } else {
        name
    };
    Some((name.trim().to_owned(), kind))
}

fn name_of<'tree>(node: Node<'tree>, node_kind: &str) -> Option<Node<'tree>> {
    match node_kind {
        "impl_item" => node.child_by_field_name("type"),
        "function_definition" | "type_definition" if node.child_by_field_name("name").is_none() => {
            // C nests the name in its declarators: `int *(*name)(void)`.
            let mut declarator = node.child_by_field_name("declarator")?;
            while let Some(inner) = declarator.child_by_field_name("declarator") {
                declarator = inner;
            }
            Some(declarator)
        }
        _ => node.child_by_field_name("name"),
    }
}

/// A Markdown file's sections, by their headings (CommonMark 4.2; those in code fences are none).
pub fn sections(text: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    // The sections around the current line: level, title, place in `items`.
    let mut open: Vec<(usize, String, usize)> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        match fence {
            Some(mark) if trimmed.starts_with(mark) => fence = None,
            Some(_) => {}
            None if trimmed.starts_with("```") => fence = Some("```"),
            None if trimmed.starts_with("~~~") => fence = Some("~~~"),
            None => {
                if let Some((level, title)) = heading(line) {
                    while open.last().is_some_and(|(outer, ..)| *outer >= level) {
                        close(&mut items, open.pop(), offset);
                    }
                    open.push((level, title.to_owned(), items.len()));
                    let names: Vec<&str> = open.iter().map(|(_, title, _)| title.as_str()).collect();
                    let name = names.join(Syntax::Markdown.path_separator());
                    items.push(Item {
                        range: offset..text.len(),
                        start: offset,
                        name,
                        kind: "section",
                    });
                }
            }
        }
        offset += line.len();
    }
    items
}

fn close(items: &mut [Item], section: Option<(usize, String, usize)>, end: usize) {
    if let Some(item) = section.and_then(|(.., place)| items.get_mut(place)) {
        item.range.end = end;
    }
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let title = line.get(level..)?;
    let is_heading = (1..=6).contains(&level) && title.starts_with([' ', '\t']);
    let title = title.trim().trim_end_matches('#').trim_end();
    (is_heading && !title.is_empty()).then_some((level, title))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::structure::Structure;

    fn items(syntax: Syntax, text: &str) -> Vec<Item> {
        Structure::of(syntax, text, 100).items
    }

    fn names(syntax: Syntax, text: &str) -> Vec<(String, &'static str)> {
        items(syntax, text)
            .into_iter()
            .map(|item| (item.name, item.kind))
            .collect()
    }

    fn expect(syntax: Syntax, text: &str, expected: &[(&str, &'static str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), *kind))
            .collect();
        assert_eq!(names(syntax, text), expected);
    }

    #[test]
    fn items_of_every_language_are_named_with_what_is_around_them() {
        expect(
            Syntax::Rust,
            "mod m { impl<T> Send for Pool<T> { fn send(&self) { fn inner() {} } } }\nenum E { A }\nmacro_rules! mac { () => {} }",
            &[
                ("m", "module"),
                ("m::Pool", "impl"),
                ("m::Pool::send", "function"),
                ("m::Pool::send::inner", "function"),
                ("E", "enum"),
                ("mac", "macro"),
            ],
        );
        expect(
            Syntax::Python,
            "class A:\n    @property\n    def b(self): pass\n\ndef c(): pass\n",
            &[("A", "class"), ("A.b", "function"), ("c", "function")],
        );
        expect(
            Syntax::JavaScript,
            "export class A { b() {} }\nconst c = () => 1, d = 2;\nasync function* e() {}",
            &[
                ("A", "class"),
                ("A.b", "function"),
                ("c", "function"),
                ("e", "function"),
            ],
        );
        expect(
            Syntax::Tsx,
            "export interface P { a: string }\ntype T = P | null;\nexport const App = (p: P) => <div>{p.a}</div>;",
            &[("P", "interface"), ("T", "type"), ("App", "function")],
        );
        expect(
            Syntax::Go,
            "package p\ntype S struct{}\nfunc (s *S) Do() {}\nfunc main() {}",
            &[("S", "type"), ("Do", "function"), ("main", "function")],
        );
        expect(
            Syntax::C,
            "#define MAX 1\nstruct point { int x; };\nstatic char *name(struct point *p) { return 0; }\ntypedef int (*callback)(void);",
            &[
                ("MAX", "macro"),
                ("point", "struct"),
                ("name", "function"),
                ("(*callback)", "type"),
            ],
        );
        expect(
            Syntax::Markdown,
            "# A\n```sh\n# not a heading\n```\n## B ##\ntext\n# C\n#no heading",
            &[("A", "section"), ("A > B", "section"), ("C", "section")],
        );
    }

    #[test]
    fn comments_and_attributes_belong_to_the_item_they_lead_to() {
        let text = "use a;\n/// Doc.\n#[test]\nfn b() {}\n";
        assert_eq!(items(Syntax::Rust, text)[0].range, 7..33);
        let text = "let x = 1;\n// why\nexport function f() {}\n";
        assert_eq!(items(Syntax::JavaScript, text)[0].range.start, 11);
    }

    #[test]
    fn a_piece_shows_the_innermost_item_at_its_beginning_or_the_first_within() {
        let text = "use a;\n\nimpl A {\n    fn b() {\n        1;\n        2;\n    }\n}\n";
        let items = items(Syntax::Rust, text);
        let name = |piece: Range<usize>| symbol_of(&items, text, &piece).map(|item| item.name.as_str());
        let inside = text.find("2;").unwrap();
        assert_eq!(name(inside..text.len()), Some("A::b"));
        assert_eq!(name(0..text.len()), Some("A"));
        assert_eq!(name(0..7), None);
        assert_eq!(name(7..8), None);
    }

    #[test]
    fn broken_code_still_has_what_can_be_read() {
        expect(
            Syntax::Rust,
            "fn a() { ) } fn b() {}",
            &[("a", "function"), ("b", "function")],
        );
        expect(Syntax::Python, "\u{0}\u{1}(((", &[]);
    }
}
