//! Text to the ids of word pieces, as the embedding table was trained.
//!
//! A space goes between a lower-case letter or digit and an upper-case letter, `_` becomes a space; then lower-case,
//! accents off, split on white space and punctuation (a punctuation mark is a word of its own), and each word is cut
//! greedily into the longest known pieces, a piece within a word being marked `##`. No special tokens are added.

use std::collections::HashMap;

use anyhow::Context;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Words longer than this become `[UNK]`, as in BERT's WordPiece.
const LONGEST_WORD: usize = 100;

/// The vocabulary, by piece.
pub(crate) struct Tokenizer {
    ids: HashMap<&'static str, u32>,
    unknown: u32,
}

impl Tokenizer {
    /// Reads a vocabulary of one piece a line.
    pub(crate) fn parse(vocabulary: &'static str) -> anyhow::Result<Self> {
        let ids: HashMap<&'static str, u32> = vocabulary.lines().zip(0..).collect();
        let unknown = *ids.get("[UNK]").context("the vocabulary has no [UNK]")?;
        Ok(Self { ids, unknown })
    }

    /// The ids of all pieces, punctuation included.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        for word in words(text) {
            self.pieces(&word, &mut out);
        }
        out
    }

    /// The ids of the pieces of words only: what a lexical score compares.
    pub(crate) fn encode_words(&self, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        for word in words(text)
            .iter()
            .filter(|word| word.chars().any(char::is_alphanumeric))
        {
            self.pieces(word, &mut out);
        }
        out
    }

    /// Longest match first; a word with any unknown rest is `[UNK]` as a whole.
    fn pieces(&self, word: &str, out: &mut Vec<u32>) {
        let ends: Vec<usize> = word.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
        if ends.len() > LONGEST_WORD {
            out.push(self.unknown);
            return;
        }
        let before = out.len();
        let mut start = 0;
        let mut candidate = String::new();
        while start < word.len() {
            let found = ends.iter().rev().take_while(|end| **end > start).find_map(|end| {
                candidate.clear();
                if start > 0 {
                    candidate.push_str("##");
                }
                candidate.push_str(word.get(start..*end)?);
                self.ids.get(candidate.as_str()).map(|id| (*id, *end))
            });
            match found {
                Some((id, end)) => {
                    out.push(id);
                    start = end;
                }
                None => {
                    out.truncate(before);
                    out.push(self.unknown);
                    return;
                }
            }
        }
    }
}

/// The text's words in lower case without accents; punctuation marks stand alone.
pub(crate) fn words(text: &str) -> Vec<String> {
    let plain: String = spaced(text)
        .to_lowercase()
        .nfd()
        .filter(|c| c.general_category() != GeneralCategory::NonspacingMark)
        .collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for c in plain.chars() {
        if c.is_whitespace() || is_punctuation(c) {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if !c.is_whitespace() {
                words.push(c.to_string());
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `readFile_at` to `read File at`.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut after_small = false;
    for c in text.chars() {
        if after_small && c.is_uppercase() {
            out.push(' ');
        }
        after_small = c.is_lowercase() || c.is_numeric();
        out.push(if c == '_' { ' ' } else { c });
    }
    out
}

/// BERT's notion: every ASCII symbol, and Unicode's punctuation.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || (!c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Punctuation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer(vocabulary: &'static str) -> Tokenizer {
        Tokenizer::parse(vocabulary).unwrap()
    }

    #[test]
    fn identifiers_split_at_case_changes_and_underscores() {
        assert_eq!(
            words("readFile_at HTTP2Server"),
            ["read", "file", "at", "http2", "server"]
        );
    }

    #[test]
    fn punctuation_stands_alone_and_accents_go() {
        assert_eq!(words("Élan: f(x)—ok"), ["elan", ":", "f", "(", "x", ")", "—", "ok"]);
    }

    #[test]
    fn a_word_is_cut_into_its_longest_known_pieces() {
        let tokenizer = tokenizer("[UNK]\npool\npoo\n##ing\n##l\n##in");
        assert_eq!(tokenizer.encode("pooling"), [1, 3]);
        assert_eq!(tokenizer.encode("pool poo"), [1, 2]);
    }

    #[test]
    fn a_word_with_an_unknown_rest_is_unknown_as_a_whole() {
        assert_eq!(tokenizer("[UNK]\npool").encode("poolx pool"), [0, 1]);
        let long = "a".repeat(LONGEST_WORD + 1);
        assert_eq!(tokenizer("[UNK]\na\n##a").encode(&long), [0]);
    }

    #[test]
    fn a_lexical_comparison_leaves_punctuation_out() {
        let tokenizer = tokenizer("[UNK]\nf\nx\n(\n)");
        assert_eq!(tokenizer.encode("f(x)"), [1, 3, 2, 4]);
        assert_eq!(tokenizer.encode_words("f(x)"), [1, 2]);
    }
}
