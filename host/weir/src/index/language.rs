//! Which language a file is in, by its name, and what is known of that language's syntax.

use tree_sitter::{Language as Grammar, Parser};

/// A language whose structure chunks can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// JavaScript, JSX too.
    JavaScript,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
    /// Go.
    Go,
    /// C, headers too.
    C,
    /// CommonMark with GitHub's additions.
    Markdown,
    /// Anything else: split at paragraphs, lines, sentences.
    Text,
}

impl Syntax {
    /// The tree-sitter grammar, for code.
    pub fn grammar(self) -> Option<Grammar> {
        let grammar = match self {
            Syntax::Rust => tree_sitter_rust::LANGUAGE,
            Syntax::Python => tree_sitter_python::LANGUAGE,
            Syntax::JavaScript => tree_sitter_javascript::LANGUAGE,
            Syntax::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
            Syntax::Tsx => tree_sitter_typescript::LANGUAGE_TSX,
            Syntax::Go => tree_sitter_go::LANGUAGE,
            Syntax::C => tree_sitter_c::LANGUAGE,
            Syntax::Markdown | Syntax::Text => return None,
        };
        Some(grammar.into())
    }

    /// What makes syntax trees, where there is a grammar. What is broken is in them as such.
    pub fn parser(self) -> Option<Parser> {
        let mut parser = Parser::new();
        parser.set_language(&self.grammar()?).ok()?;
        Some(parser)
    }

    /// What stands between the parts of a qualified name.
    pub fn path_separator(self) -> &'static str {
        match self {
            Syntax::Rust | Syntax::C => "::",
            Syntax::Markdown => " > ",
            _ => ".",
        }
    }
}

/// The language's name, lower case, as `--language` takes it, and its syntax. `text` where the name tells nothing.
pub fn of_path(path: &str) -> (&'static str, Syntax) {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name {
        "Dockerfile" | "Containerfile" => return ("dockerfile", Syntax::Text),
        "Makefile" | "GNUmakefile" | "makefile" => return ("makefile", Syntax::Text),
        "justfile" | "Justfile" => return ("just", Syntax::Text),
        "CMakeLists.txt" => return ("cmake", Syntax::Text),
        _ => {}
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "rs" => ("rust", Syntax::Rust),
        "py" | "pyi" | "pyw" => ("python", Syntax::Python),
        "js" | "mjs" | "cjs" | "jsx" => ("javascript", Syntax::JavaScript),
        "ts" | "mts" | "cts" => ("typescript", Syntax::TypeScript),
        "tsx" => ("typescript", Syntax::Tsx),
        "go" => ("go", Syntax::Go),
        "c" | "h" => ("c", Syntax::C),
        "md" | "markdown" | "mdx" => ("markdown", Syntax::Markdown),
        "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" => ("cpp", Syntax::Text),
        "cs" => ("csharp", Syntax::Text),
        "java" => ("java", Syntax::Text),
        "kt" | "kts" => ("kotlin", Syntax::Text),
        "swift" => ("swift", Syntax::Text),
        "rb" => ("ruby", Syntax::Text),
        "php" => ("php", Syntax::Text),
        "lua" => ("lua", Syntax::Text),
        "scala" => ("scala", Syntax::Text),
        "ex" | "exs" => ("elixir", Syntax::Text),
        "hs" => ("haskell", Syntax::Text),
        "ml" | "mli" => ("ocaml", Syntax::Text),
        "zig" => ("zig", Syntax::Text),
        "sh" | "bash" | "zsh" => ("shell", Syntax::Text),
        "sql" => ("sql", Syntax::Text),
        "html" | "htm" => ("html", Syntax::Text),
        "css" | "scss" => ("css", Syntax::Text),
        "vue" => ("vue", Syntax::Text),
        "svelte" => ("svelte", Syntax::Text),
        "json" | "jsonl" => ("json", Syntax::Text),
        "toml" => ("toml", Syntax::Text),
        "yaml" | "yml" => ("yaml", Syntax::Text),
        "xml" => ("xml", Syntax::Text),
        "proto" => ("protobuf", Syntax::Text),
        "wit" => ("wit", Syntax::Text),
        "rst" => ("rst", Syntax::Text),
        _ => ("text", Syntax::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_extension_or_its_name() {
        assert_eq!(of_path("src/main.rs"), ("rust", Syntax::Rust));
        assert_eq!(of_path("web/App.TSX"), ("typescript", Syntax::Tsx));
        assert_eq!(of_path("deploy/Dockerfile"), ("dockerfile", Syntax::Text));
        assert_eq!(of_path("rs"), ("text", Syntax::Text));
        assert_eq!(of_path("a.rs/LICENSE"), ("text", Syntax::Text));
    }

    #[test]
    fn every_grammar_fits_the_parser() {
        use Syntax::*;
        for syntax in [Rust, Python, JavaScript, TypeScript, Tsx, Go, C] {
            assert!(syntax.parser().is_some(), "{syntax:?}");
        }
    }
}
