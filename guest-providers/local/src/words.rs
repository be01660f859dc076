//! Texts to words, the way the table's vocabulary was counted: BERT's uncased rules, after identifiers were taken
//! apart. A punctuation mark is a word of its own.

use crate::fold::{fold, is_case_boundary, stands_alone};

/// Visits the words of `text` in their order. `word` is room to build them in, so that none is allocated.
pub fn for_each_word(text: &str, word: &mut String, mut visit: impl FnMut(&str)) {
    word.clear();
    let mut before = ' ';
    for character in text.chars() {
        if character == '_' || character.is_whitespace() || is_case_boundary(before, character) {
            end_word(word, &mut visit);
        }
        before = character;
        if character == '_' || character.is_whitespace() {
            continue;
        }
        fold(character, |part| {
            if stands_alone(part) {
                end_word(word, &mut visit);
                visit(part.encode_utf8(&mut [0; 4]));
            } else {
                word.push(part);
            }
        });
    }
    end_word(word, &mut visit);
}

fn end_word(word: &mut String, visit: &mut impl FnMut(&str)) {
    if !word.is_empty() {
        visit(word);
        word.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(text, &mut String::new(), |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn camel_case_and_snake_case_are_taken_apart() {
        assert_eq!(
            words("keepAlive max_connections utf8Text"),
            ["keep", "alive", "max", "connections", "utf8", "text"]
        );
    }

    #[test]
    fn capitals_in_a_row_stay_together() {
        assert_eq!(words("HTTPServer"), ["httpserver"]);
    }

    #[test]
    fn every_punctuation_mark_is_a_word() {
        assert_eq!(
            words("a.b==c\u{2014}d"),
            ["a", ".", "b", "=", "=", "c", "\u{2014}", "d"]
        );
    }

    #[test]
    fn an_ideograph_is_a_word() {
        assert_eq!(words("日本go"), ["日", "本", "go"]);
    }

    #[test]
    fn white_space_alone_has_no_words() {
        assert!(words(" \t\r\n\u{3000}__ ").is_empty());
    }
}
