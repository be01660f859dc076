//! Texts to the terms that a sparse vector counts: whole words, and the parts of identifiers.
//!
//! `maxIdleConns`, `max_idle_conns` and `MAX_IDLE_CONNS` have the same terms: `max`, `idle`, `conns` and, for those who
//! ask for the very name, `maxidleconns`. Punctuation is no term.

use crate::fold::{fold, is_case_boundary, is_ideograph};

/// Visits the terms of `text`. `room` is room to build them in, so that none is allocated.
pub fn for_each_term(text: &str, room: &mut String, mut visit: impl FnMut(&str)) {
    let mut identifier = Identifier::begin(room);
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let ends_capitals = before.is_uppercase()
            && character.is_uppercase()
            && characters.peek().is_some_and(|next| next.is_lowercase());
        if character == '_' || ends_capitals || is_case_boundary(before, character) {
            identifier.end_part(&mut visit);
        }
        before = character;
        if is_ideograph(character) {
            identifier.end(&mut visit);
            visit(character.encode_utf8(&mut [0; 4]));
            continue;
        }
        if character == '_' {
            continue;
        }
        let joins = character.is_alphanumeric();
        fold(character, |part| {
            if joins {
                identifier.folded.push(part)
            } else {
                identifier.end(&mut visit)
            }
        });
        if character.is_ascii_control() {
            identifier.end(&mut visit);
        }
    }
    identifier.end(&mut visit);
}

/// The identifier that is being read: its folded parts, one after the other.
struct Identifier<'a> {
    folded: &'a mut String,
    /// Where the part that is being read begins.
    part: usize,
    /// How many parts were visited.
    parts: usize,
}

impl<'a> Identifier<'a> {
    fn begin(room: &'a mut String) -> Self {
        room.clear();
        Self {
            folded: room,
            part: 0,
            parts: 0,
        }
    }

    fn end_part(&mut self, visit: &mut impl FnMut(&str)) {
        if let Some(part) = self.folded.get(self.part..).filter(|part| !part.is_empty()) {
            visit(part);
            self.part = self.folded.len();
            self.parts += 1;
        }
    }

    fn end(&mut self, visit: &mut impl FnMut(&str)) {
        self.end_part(visit);
        if self.parts > 1 {
            visit(self.folded);
        }
        self.folded.clear();
        self.part = 0;
        self.parts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        for_each_term(text, &mut String::new(), |term| terms.push(term.to_owned()));
        terms
    }

    #[test]
    fn an_identifier_is_its_parts_and_itself_however_it_is_written() {
        for name in [
            "maxIdleConns",
            "max_idle_conns",
            "MAX_IDLE_CONNS",
            "MaxIdleConns",
            "_max_idle_conns_",
        ] {
            assert_eq!(terms(name), ["max", "idle", "conns", "maxidleconns"], "{name}");
        }
    }

    #[test]
    fn capitals_in_a_row_end_before_the_next_word() {
        assert_eq!(terms("HTTPServer"), ["http", "server", "httpserver"]);
        assert_eq!(terms("parseURL"), ["parse", "url", "parseurl"]);
    }

    #[test]
    fn a_plain_word_is_one_term() {
        assert_eq!(terms("The connection_, closed."), ["the", "connection", "closed"]);
    }

    #[test]
    fn digits_stay_with_their_letters() {
        assert_eq!(terms("utf8 x86_64 0x7f"), ["utf8", "x86", "64", "x8664", "0x7f"]);
    }

    #[test]
    fn accents_join_and_ideographs_stand_alone() {
        assert_eq!(terms("re\u{301}sume\u{301} 日本"), ["resume", "日", "本"]);
    }

    #[test]
    fn punctuation_and_white_space_have_no_terms() {
        assert!(terms(" {};\n\t__ -> ").is_empty());
    }
}
