//! Functions and what their documentation says of them, out of Rust sources: questions with known answers for a search.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Words that a question has at least, and lines of code that its answer has.
const FEWEST_WORDS: usize = 4;
const FEWEST_LINES: usize = 3;

/// Longer functions are rather tables.
const MOST_LINES: usize = 400;

/// A documented function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    /// The first sentence of its documentation.
    pub question: String,
    /// Its body without comments: neither name nor arguments.
    pub body: String,
}

/// The documented functions below a folder, each question and each body once, in an order that is the same every time.
///
/// # Errors
/// Where the folder can't be read.
pub fn functions(folder: &Path) -> anyhow::Result<Vec<Documented>> {
    let mut files = Vec::new();
    rust_files(folder, &mut files)?;
    files.sort();
    let mut found = Vec::new();
    for file in files {
        // One that is no UTF-8 is a test of somebody's.
        if let Ok(text) = std::fs::read_to_string(&file) {
            of_source(&text, &mut found);
        }
    }
    let (mut questions, mut bodies) = (BTreeSet::new(), BTreeSet::new());
    found.retain(|one| questions.insert(one.question.clone()) & bodies.insert(one.body.clone()));
    Ok(found)
}

/// So many of `all`, chosen evenly over their whole order.
pub fn sample(all: &[Documented], count: usize) -> Vec<Documented> {
    let step = all.len().max(1) as f64 / count as f64;
    (0..count.min(all.len()))
        .filter_map(|number| all.get((number as f64 * step.max(1.0)) as usize).cloned())
        .collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != ".git" {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Goes by rustfmt's layout: a function's last line is a `}` as far to the right as its first.
fn of_source(text: &str, found: &mut Vec<Documented>) {
    let lines: Vec<&str> = text.lines().collect();
    let mut rest = lines.as_slice();
    while let Some(start) = rest.iter().position(|line| line.trim_start().starts_with("///")) {
        rest = &rest[start..];
        let is_comment = |line: &&&str| line.trim_start().starts_with("///");
        let documentation: Vec<&str> = rest.iter().take_while(is_comment).copied().collect();
        rest = &rest[documentation.len()..];
        let attributes = rest
            .iter()
            .take_while(|line| line.trim_start().starts_with("#["))
            .count();
        rest = &rest[attributes..];
        let question = first_sentence(&documentation);
        if let Some(body) = body(rest).filter(|_| question.split_whitespace().count() >= FEWEST_WORDS) {
            found.push(Documented { question, body });
        }
    }
}

fn first_sentence(documentation: &[&str]) -> String {
    let lines = documentation
        .iter()
        .map(|line| line.trim_start().trim_start_matches('/').trim());
    let is_text = |line: &&str| !line.is_empty() && !line.starts_with(['#', '`', '|', '*', '-']);
    let paragraph = lines.take_while(is_text).collect::<Vec<_>>().join(" ");
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}

fn body(lines: &[&str]) -> Option<String> {
    let first = lines.first()?;
    let start = first.trim_start();
    if !start.split('(').next()?.split_whitespace().any(|word| word == "fn") {
        return None;
    }
    let indent = first.len() - start.len();
    let is_last = |line: &&str| line.len() == indent + 1 && line.ends_with('}') && line.trim_start() == "}";
    let end = lines.iter().take(MOST_LINES).position(is_last)?;
    let open = lines.iter().position(|line| line.trim_end().ends_with('{'))?;
    let code = lines
        .get(open + 1..end)?
        .iter()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<&str> = code
        .map(|line| line.split(" // ").next().unwrap_or(line).trim_end())
        .collect();
    let written = code.iter().filter(|line| !line.is_empty()).count();
    (written >= FEWEST_LINES).then(|| code.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_the_first_sentence_and_its_answer_the_code_alone() {
        let source = "\
impl A {
    /// Does what is asked
    /// of it here. And more.
    ///
    /// # Errors
    #[inline]
    pub fn act(
        &self,
    ) {
        // Why.
        one(); // First.
        two();

        three();
    }

    /// Too short for a question.
    fn two() {
        x();
    }

    /// No function at all, this one.
    struct B;
}
";
        let mut found = Vec::new();
        of_source(source, &mut found);
        let expected = Documented {
            question: "Does what is asked of it here.".to_owned(),
            body: "        one();\n        two();\n\n        three();".to_owned(),
        };
        assert_eq!(found, [expected]);
    }
}
