//! The word for a part of a text, which is another by Qdrant's version:
//!
//! | version | `match.text`, of a field without an index | `match.substring` |
//! |---|---|---|
//! | to 1.19.0 | a part of the text | unknown, refused |
//! | 1.19.1 to before 1.20 | words, case disregarded | unknown, refused |
//! | from 1.20 | words, case disregarded | a part of the text |
//!
//! <https://github.com/qdrant/qdrant/pull/10341>, <https://github.com/qdrant/qdrant/pull/10711>.

use serde::Deserialize;
use weir_guest::types::Error;
use weir_guest::{Request, failure, json};

use crate::vector_store::{Filter, Test};

/// The word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Substring {
    Text,
    Substring,
}

#[derive(Deserialize)]
struct Root<'a> {
    version: &'a str,
}

/// Whether a filter asks for parts of texts.
pub(crate) fn is_in(filter: &Filter) -> bool {
    let Filter { must, should, must_not } = filter;
    let mut conditions = must.iter().chain(should).chain(must_not);
    conditions.any(|condition| matches!(condition.test, Test::Contains(_)))
}

/// What tells the server's version.
pub(crate) fn request(base_url: &str) -> Request {
    Request::get(format!("{base_url}/")).replay_safe()
}

/// # Errors
/// `unsupported` of a version without a word for it; `malformed-response`.
pub(crate) fn read(body: &[u8]) -> Result<Substring, Error> {
    let Root { version } = json::read(body)?;
    // A version of its own making ends as `1.20.0-dev`.
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor)), Some(Some(patch))) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(failure::malformed(format!("`version`: `{version}` is none")));
    };
    if (major, minor) >= (1, 20) {
        Ok(Substring::Substring)
    } else if (major, minor, patch) <= (1, 19, 0) {
        Ok(Substring::Text)
    } else {
        Err(Error::Unsupported(format!(
            "Qdrant {version} finds words, not parts of a text as `contains` asks for; versions to 1.19.0 and from 1.20 do"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: &str) -> Result<Substring, Error> {
        read(format!(r#"{{"title": "qdrant", "version": "{version}", "commit": "0"}}"#).as_bytes())
    }

    #[test]
    fn the_version_tells_the_word() {
        for version in ["1.0.0", "1.18.3", "1.19.0"] {
            assert_eq!(told(version).unwrap(), Substring::Text);
        }
        for version in ["1.20.0", "1.20.0-dev", "1.21.3", "2.0.0"] {
            assert_eq!(told(version).unwrap(), Substring::Substring);
        }
        assert!(matches!(told("1.19.1"), Err(Error::Unsupported(text)) if text.contains("1.19.1")));
        assert!(matches!(told("new"), Err(Error::MalformedResponse(_))));
    }
}
