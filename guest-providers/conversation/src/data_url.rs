//! Images as a caller names them: by a URL, or inside a `data:` URL (RFC 2397).

use weir_guest::failure;
use weir_guest::types::Error;

/// Where an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image<'a> {
    /// In the request itself.
    Inline {
        /// `image/png`, …
        media_type: &'a str,
        /// Base64.
        data: &'a str,
    },
    /// At this URL.
    At(&'a str),
}

/// Tells the two apart.
///
/// # Errors
/// `invalid-input` for a `data:` URL that is not base64, or tells no media type.
pub fn image(url: &str) -> Result<Image<'_>, Error> {
    let Some(rest) = url.strip_prefix("data:") else {
        return Ok(Image::At(url));
    };
    rest.split_once(',')
        .and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)))
        // Parameters (`;charset=…`) say nothing of an image.
        .map(|(head, data)| (head.split_once(';').map_or(head, |(media_type, _)| media_type), data))
        .filter(|(media_type, _)| media_type.contains('/'))
        .map(|(media_type, data)| Image::Inline { media_type, data })
        .ok_or_else(|| failure::refused("an image's `data:` URL is not of the form `data:image/png;base64,…`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_in_the_url_or_at_it() {
        let inline = |media_type, data| Image::Inline { media_type, data };
        assert_eq!(
            image("data:image/png;base64,AAAA").unwrap(),
            inline("image/png", "AAAA")
        );
        assert_eq!(image("data:image/gif;x=1;base64,").unwrap(), inline("image/gif", ""));
        assert_eq!(
            image("https://a.example/b.png").unwrap(),
            Image::At("https://a.example/b.png")
        );
    }

    #[test]
    fn data_of_another_form_is_refused() {
        for url in [
            "data:",
            "data:image/png,%00",
            "data:;base64,AAAA",
            "data:image/png;base64",
        ] {
            assert!(matches!(image(url), Err(Error::InvalidInput(_))), "{url}");
        }
    }
}
