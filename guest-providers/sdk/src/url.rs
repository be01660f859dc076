//! Names put into URLs.

use std::fmt::Write as _;

use crate::{Error, failure};

/// `name` as one segment of a path: every byte that RFC 3986 does not call unreserved is percent-encoded.
///
/// # Errors
/// `invalid-input` for what no encoding makes a name: nothing, `.` and `..`.
pub fn segment(name: &str) -> Result<String, Error> {
    if matches!(name, "" | "." | "..") {
        return Err(failure::refused(format!("`{name}` can't be part of a URL's path")));
    }
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => segment.push(char::from(byte)),
            // Writing to a text never fails.
            other => _ = write!(segment, "%{other:02X}"),
        }
    }
    Ok(segment)
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_segment_cannot_leave_its_place_in_the_path() {
        assert_eq!(segment("docs-1.2_x~").unwrap(), "docs-1.2_x~");
        assert_eq!(segment("a/b?c#d").unwrap(), "a%2Fb%3Fc%23d");
        assert_eq!(segment("größe :").unwrap(), "gr%C3%B6%C3%9Fe%20%3A");
        for name in ["", ".", ".."] {
            assert!(segment(name).is_err(), "{name}");
        }
    }
}
