//! Secrets taken out of answers: an upstream that repeats the key it was given shows it to nobody.

use bytes::Bytes;
use memchr::memmem::{Finder, FinderBuilder};
use secrecy::{ExposeSecret, SecretString};

/// A shorter secret is left alone: it may stand in an answer by chance, and nobody could tell what was taken out.
const SHORTEST: usize = 8;

const MASK: u8 = b'*';

/// Finds a provider's secrets, as they were given, and masks them with as many asterisks.
///
/// It finds no other form of a secret (encoded, cut in two by the provider): what an upstream may not tell, it should
/// not be told.
pub(crate) struct Redactor {
    finders: Vec<Finder<'static>>,
}

impl Redactor {
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let finders = secrets
            .into_iter()
            .map(|secret| secret.expose_secret().as_bytes())
            .filter(|secret| secret.len() >= SHORTEST)
            .map(|secret| FinderBuilder::new().build_forward(secret).into_owned())
            .collect();
        Redactor { finders }
    }

    /// The same bytes without secrets. Copies nothing where there are none.
    pub(crate) fn redact(&self, bytes: Bytes) -> Bytes {
        if self.finders.iter().all(|finder| finder.find(&bytes).is_none()) {
            return bytes;
        }
        let mut masked = bytes.to_vec();
        for finder in &self.finders {
            let places: Vec<usize> = finder.find_iter(&bytes).collect();
            for place in places {
                if let Some(found) = masked.get_mut(place..place + finder.needle().len()) {
                    found.fill(MASK);
                }
            }
        }
        masked.into()
    }

    /// How many bytes at the end may be the beginning of a secret, of which the next piece of a stream holds the rest.
    pub(crate) fn unfinished(&self, bytes: &[u8]) -> usize {
        let begins = |finder: &Finder<'_>| {
            let secret = finder.needle();
            (1..secret.len().min(bytes.len() + 1))
                .rev()
                .find(|&length| bytes.ends_with(secret.get(..length).unwrap_or(secret)))
        };
        self.finders.iter().filter_map(begins).max().unwrap_or(0)
    }
}

/// A body that comes in pieces, without secrets: those that the pieces' ends cut in two too.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// The end of the last piece, where it may be the beginning of a secret.
    held: Bytes,
}

impl Pieces {
    /// The next piece, or as much of it as is known to be no secret.
    pub(crate) fn redact(&mut self, redactor: &Redactor, piece: Bytes) -> Bytes {
        let whole = if self.held.is_empty() {
            piece
        } else {
            [self.held.as_ref(), piece.as_ref()].concat().into()
        };
        let mut redacted = redactor.redact(whole);
        self.held = redacted.split_off(redacted.len() - redactor.unfinished(&redacted));
        redacted
    }

    /// What is left when the body has ended: no secret came of it.
    pub(crate) fn last(&mut self) -> Option<Bytes> {
        Some(std::mem::take(&mut self.held)).filter(|held| !held.is_empty())
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("secrets", &self.finders.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(&["hush-hush-1".into(), "short".into()])
    }

    #[test]
    fn a_repeated_secret_is_masked_wherever_it_stands() {
        let redacted = redactor().redact(Bytes::from_static(b"the key hush-hush-1 or hush-hush-1"));
        assert_eq!(redacted, "the key *********** or ***********");
    }

    #[test]
    fn an_answer_without_a_secret_is_handed_on_uncopied() {
        let answer = Bytes::from_static(b"a short answer");
        assert_eq!(redactor().redact(answer.clone()).as_ptr(), answer.as_ptr());
    }

    #[test]
    fn the_beginning_of_a_secret_at_the_end_of_a_piece_is_told() {
        assert_eq!(redactor().unfinished(b"abc hush-hu"), 7);
        assert_eq!(redactor().unfinished(b"abc hush-hush-1"), 0);
        assert_eq!(redactor().unfinished(b"abc"), 0);
        assert_eq!(redactor().unfinished(b"h"), 1);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert!(!format!("{:?}", redactor()).contains("hush"));
    }

    #[test]
    fn a_secret_is_masked_wherever_the_pieces_of_a_body_end() {
        let body = b"a hush-hush-1, hush-hush-hush-1 and at the end hush-hus";
        let expected = b"a ***********, hush-*********** and at the end hush-hus";
        for length in 1..=body.len() {
            let (redactor, mut pieces) = (redactor(), Pieces::default());
            let mut seen = Vec::new();
            for piece in body.chunks(length) {
                seen.extend_from_slice(&pieces.redact(&redactor, Bytes::copy_from_slice(piece)));
            }
            seen.extend(pieces.last().unwrap_or_default());
            assert_eq!(seen, expected, "in pieces of {length}");
        }
    }
}
