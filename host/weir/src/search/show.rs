//! Hits for people: place, score and symbol, and the lines that have most of what was asked for.

use std::collections::BTreeSet;

use super::hit::{Hit, SearchResult};

/// Lines of a hit's text that are shown, and their length.
const SHOWN_LINES: usize = 6;
const SHOWN_CHARACTERS: usize = 120;

/// ECMA-48: bold, bold red for what was asked for, faint, and back.
const BOLD: &str = "\x1b[1m";
const FOUND: &str = "\x1b[1;31m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// All hits and who ranked them, with the words of the query in colour where that is wanted.
pub fn show(result: &SearchResult, query: &str, colored: bool) -> String {
    if result.hits.is_empty() {
        return "nothing found".to_owned();
    }
    let mut hits: Vec<String> = result.hits.iter().map(|hit| show_hit(hit, query, colored)).collect();
    let ranked_by = format!("ranked by {}", result.ranked_by.as_str());
    hits.push(paint(&ranked_by, FAINT, colored));
    hits.join("\n\n")
}

/// One hit.
pub fn show_hit(hit: &Hit, query: &str, colored: bool) -> String {
    let place = format!("{}:{}-{}", hit.path, hit.start_line, hit.end_line);
    let mut text = format!("{}  {:.3}", paint(&place, BOLD, colored), hit.score);
    if let Some(symbol) = &hit.symbol {
        text += "  ";
        text += symbol;
    }
    let words = words(query);
    let lines: Vec<(u32, &str)> = (hit.start_line..).zip(hit.text.lines()).collect();
    let shown = best_lines(&lines, &words);
    let width = hit.end_line.to_string().len();
    for (number, line) in shown {
        let cut: String = line.chars().take(SHOWN_CHARACTERS).collect();
        let number = paint(&format!("{number:>width$}"), FAINT, colored);
        let line = if colored {
            highlight(cut.trim_end(), &words)
        } else {
            cut.trim_end().to_owned()
        };
        let line = format!("\n    {number}  {line}");
        text += line.trim_end();
    }
    text
}

/// The words that are looked for in lines, in lower case: too short a word is in every line.
fn words(query: &str) -> BTreeSet<String> {
    query
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.chars().count() > 2)
        .map(str::to_lowercase)
        .collect()
}

/// The lines in a row that have most words, the first of equals, without blank ones at their ends.
fn best_lines<'a>(lines: &'a [(u32, &'a str)], words: &BTreeSet<String>) -> &'a [(u32, &'a str)] {
    let having = |window: &[(u32, &str)]| {
        let text: Vec<String> = window.iter().map(|(_, line)| line.to_lowercase()).collect();
        let has = |word: &&String| text.iter().any(|line| line.contains(word.as_str()));
        words.iter().filter(has).count()
    };
    let lines = without_blank_ends(lines);
    let windows = lines.windows(SHOWN_LINES.min(lines.len()).max(1));
    let (mut best, mut most) = (lines.get(..SHOWN_LINES).unwrap_or(lines), 0);
    for window in windows {
        let count = having(window);
        if count > most {
            (best, most) = (window, count);
        }
    }
    without_blank_ends(best)
}

fn without_blank_ends<'a>(lines: &'a [(u32, &'a str)]) -> &'a [(u32, &'a str)] {
    let written = |line: &(u32, &str)| !line.1.trim().is_empty();
    let (start, end) = (lines.iter().position(written), lines.iter().rposition(written));
    let range = start.zip(end).and_then(|(start, end)| lines.get(start..=end));
    range.unwrap_or_default()
}

fn highlight(line: &str, words: &BTreeSet<String>) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_alphanumeric());
        // What is no letter goes by one.
        let end = end
            .unwrap_or(rest.len())
            .max(rest.chars().next().map_or(0, char::len_utf8));
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let lower = word.to_lowercase();
        if words.iter().any(|asked| lower.contains(asked.as_str())) {
            shown += &paint(word, FOUND, true);
        } else {
            shown += word;
        }
        rest = after;
    }
    shown
}

fn paint(text: &str, style: &str, colored: bool) -> String {
    if colored {
        format!("{style}{text}{PLAIN}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::RankedBy;

    fn hit(text: &str) -> Hit {
        Hit {
            path: "src/a.rs".into(),
            start_line: 9,
            end_line: 20,
            score: 0.5,
            language: "rust".into(),
            symbol: Some("A::b".into()),
            kind: None,
            text: text.into(),
        }
    }

    #[test]
    fn a_hit_is_shown_with_its_place_and_its_first_lines() {
        let result = SearchResult {
            hits: vec![hit("\nfn b() {\n\n    1;\n}\n\n"), hit("a\n")],
            ranked_by: RankedBy::Dense,
            warnings: vec![],
        };
        assert_eq!(
            show(&result, "q", false),
            "src/a.rs:9-20  0.500  A::b\n    10  fn b() {\n    11\n    12      1;\n    13  }\n\n\
             src/a.rs:9-20  0.500  A::b\n     9  a\n\nranked by dense"
        );
        assert_eq!(
            show(&SearchResult { hits: vec![], ..result }, "q", false),
            "nothing found"
        );
    }

    #[test]
    fn the_lines_with_most_words_of_the_query_are_shown() {
        let mut lines: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        lines[20] = "let pool = idle();".to_owned();
        lines[22] = "expire(connection);".to_owned();
        let shown = show_hit(&hit(&lines.join("\n")), "expire idle connections of a pool", false);
        assert!(
            shown.contains("29  let pool = idle();") && shown.contains("31  expire(connection);"),
            "{shown}"
        );
        assert!(
            !shown.contains("line 0") && shown.lines().count() == 1 + SHOWN_LINES,
            "{shown}"
        );
    }

    #[test]
    fn what_was_asked_for_is_in_colour_where_that_is_wanted() {
        let shown = show_hit(&hit("größe.expire_idle(x)"), "expire", true);
        assert!(shown.contains("größe.\x1b[1;31mexpire\x1b[0m_idle(x)"), "{shown:?}");
        assert!(!show_hit(&hit("größe.expire_idle(x)"), "expire", false).contains('\x1b'));
    }
}
