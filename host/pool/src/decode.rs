//! Compressed answers, read as what they stand for (RFC 9110, section 8.4.1).

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::header::{self, HeaderMap, HeaderValue};

/// What is offered to servers.
const OFFERED: HeaderValue = HeaderValue::from_static("gzip, deflate");

/// How much is decompressed before the limit is looked at again. Deflate makes at most 1,032 bytes of one
/// (<https://zlib.net/zlib_tech.html>), so that no more than 4 MiB are made too many.
const SLICE: usize = 4 * 1024;

/// Asks for compressed answers, unless the caller has an opinion of its own or asks for a part of the answer, whose
/// bytes are counted as they are sent (RFC 9110, section 14.2).
pub(crate) fn offer(headers: &mut HeaderMap) -> bool {
    if headers.contains_key(header::ACCEPT_ENCODING) || headers.contains_key(header::RANGE) {
        return false;
    }
    headers.insert(header::ACCEPT_ENCODING, OFFERED);
    true
}

/// Why a body was not decompressed to its end.
pub(crate) enum Undecoded {
    /// It is not what its head says it is, or it is cut off.
    Malformed(io::Error),
    /// It stands for more than is taken.
    TooLarge,
}

/// Decompresses a body piece by piece.
pub(crate) enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
}

impl Decoder {
    /// The decoder that an answer with this head needs, if any. The head then speaks of the decompressed body.
    pub fn of(headers: &mut HeaderMap) -> Option<Self> {
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(coding), None) = (codings.next(), codings.next()) else {
            return None;
        };
        let decoder = match coding.as_bytes() {
            coding if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => {
                Self::Gzip(MultiGzDecoder::new(Vec::new()))
            }
            coding if coding.eq_ignore_ascii_case(b"deflate") => Self::Deflate(ZlibDecoder::new(Vec::new())),
            _ => return None,
        };
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        Some(decoder)
    }

    /// What this piece of the compressed body stands for, if that is not longer than `most`.
    pub fn decode(&mut self, compressed: &[u8], most: u64) -> Result<Bytes, Undecoded> {
        for slice in compressed.chunks(SLICE) {
            match self {
                Self::Gzip(decoder) => decoder.write_all(slice),
                Self::Deflate(decoder) => decoder.write_all(slice),
            }
            .map_err(Undecoded::Malformed)?;
            if self.decoded().len() as u64 > most {
                return Err(Undecoded::TooLarge);
            }
        }
        Ok(std::mem::take(self.decoded()).into())
    }

    /// What is left when the compressed body has ended.
    pub fn finish(&mut self) -> Result<Bytes, Undecoded> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
        }
        .map_err(Undecoded::Malformed)?;
        Ok(std::mem::take(self.decoded()).into())
    }

    fn decoded(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Decoder::Gzip",
            Self::Deflate(_) => "Decoder::Deflate",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::Compression;
    use flate2::read::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        GzEncoder::new(text, Compression::best())
            .read_to_end(&mut compressed)
            .unwrap();
        compressed
    }

    fn decoder() -> Decoder {
        let coding = (header::CONTENT_ENCODING, HeaderValue::from_static("GZip"));
        let length = (header::CONTENT_LENGTH, HeaderValue::from_static("9"));
        let mut headers = HeaderMap::from_iter([coding, length]);
        let decoder = Decoder::of(&mut headers).unwrap();
        assert!(headers.is_empty(), "the head speaks of the decompressed body");
        decoder
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let text: Vec<u8> = (0..50_000_u32)
            .flat_map(|number| (number % 977).to_le_bytes())
            .collect();
        let compressed = gzip(&text);
        for size in [1, 7, 1_000, compressed.len()] {
            let mut decoder = decoder();
            let mut decoded = Vec::new();
            for piece in compressed.chunks(size) {
                decoded.extend(decoder.decode(piece, u64::MAX).ok().unwrap());
            }
            decoded.extend(decoder.finish().ok().unwrap());
            assert_eq!(decoded, text, "in pieces of {size}");
        }
    }

    #[test]
    fn a_body_that_is_cut_off_or_is_no_such_thing_is_told_from_one_that_has_ended() {
        let compressed = gzip(&[7; 10_000]);
        let mut cut_off = decoder();
        assert!(cut_off.decode(&compressed[..compressed.len() - 9], u64::MAX).is_ok());
        assert!(matches!(cut_off.finish(), Err(Undecoded::Malformed(_))));
        let mut other = decoder();
        assert!(matches!(
            other.decode(b"<html></html>", u64::MAX),
            Err(Undecoded::Malformed(_))
        ));
    }

    #[test]
    fn little_that_stands_for_much_is_noticed_before_it_is_all_there() {
        let compressed = gzip(&vec![0; 64 << 20]);
        assert!(compressed.len() < 1 << 17);
        let mut decoder = decoder();
        assert!(matches!(decoder.decode(&compressed, 1 << 20), Err(Undecoded::TooLarge)));
        assert!(
            decoder.decoded().len() < 8 << 20,
            "{} bytes were made",
            decoder.decoded().len()
        );
    }

    #[test]
    fn nothing_is_offered_to_those_who_ask_for_themselves_or_for_a_part() {
        let mut headers = HeaderMap::new();
        assert!(offer(&mut headers));
        for name in [header::RANGE, header::ACCEPT_ENCODING] {
            let mut headers = HeaderMap::from_iter([(name, HeaderValue::from_static("x"))]);
            assert!(!offer(&mut headers));
        }
    }
}
