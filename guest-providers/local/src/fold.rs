//! Single characters: lower-cased, without their accents, and told apart by what they do to a word.

use unicode_normalization::char::decompose_canonical;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Gives what remains of `character` in lower case without its accents: nothing of a control character or of an
/// accent that stands by itself, several characters of some.
pub fn fold(character: char, mut keep: impl FnMut(char)) {
    if character.is_ascii() {
        if !character.is_ascii_control() {
            keep(character.to_ascii_lowercase());
        }
        return;
    }
    if character.general_category_group() == GeneralCategoryGroup::Other || character == char::REPLACEMENT_CHARACTER {
        return;
    }
    for lower in character.to_lowercase() {
        decompose_canonical(lower, |part| {
            if part.general_category() != GeneralCategory::NonspacingMark {
                keep(part);
            }
        });
    }
}

/// Whether the character is a word of its own wherever it stands: punctuation, or an ideograph.
///
/// Punctuation is what BERT takes for it: all of ASCII that is neither letter, digit nor space, so `$` and `=` too,
/// and Unicode's categories P.
pub fn stands_alone(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_punctuation();
    }
    is_ideograph(character) || character.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// Whether the character is an ideograph: a script without spaces between words. The blocks "CJK Unified Ideographs"
/// with extensions A to E and "CJK Compatibility Ideographs", as in BERT's tokeniser.
pub fn is_ideograph(character: char) -> bool {
    matches!(character,
        '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' | '\u{20000}'..='\u{2A6DF}' | '\u{2A700}'..='\u{2B73F}'
        | '\u{2B740}'..='\u{2B81F}' | '\u{2B820}'..='\u{2CEAF}' | '\u{F900}'..='\u{FAFF}' | '\u{2F800}'..='\u{2FA1F}')
}

/// Whether the case or kind of two neighbours says that a new word begins between them: `keepAlive`, `utf8Text`.
pub fn is_case_boundary(before: char, after: char) -> bool {
    after.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut kept = String::new();
        text.chars()
            .for_each(|character| fold(character, |part| kept.push(part)));
        kept
    }

    #[test]
    fn case_and_accents_go() {
        assert_eq!(folded("Ångström RÉSUMÉ"), "angstrom resume");
        assert_eq!(folded("e\u{301}"), "e");
        assert_eq!(folded("İ"), "i");
    }

    #[test]
    fn control_and_zero_width_characters_go() {
        assert_eq!(folded("a\u{0}b\u{200B}c\u{FEFF}d\u{FFFD}"), "abcd");
    }

    #[test]
    fn letters_of_other_scripts_stay() {
        assert_eq!(folded("Привет straße"), "привет straße");
    }
}
