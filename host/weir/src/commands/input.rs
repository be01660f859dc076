//! Arguments that hold their text themselves, name a file with `@`, or stand for standard input with `-`.

use std::io::Read as _;

use serde_json::Value;

use crate::cli::UsageError;

/// The bytes, and the place to name in errors about them; `flag` where the argument holds them itself.
pub(super) fn bytes(argument: &str, flag: &str) -> Result<(Vec<u8>, String), UsageError> {
    if argument == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| UsageError(format!("can't read standard input: {error}")))?;
        Ok((bytes, "standard input".to_owned()))
    } else if let Some(path) = argument.strip_prefix('@') {
        let bytes = std::fs::read(path).map_err(|error| UsageError(format!("can't read {path}: {error}")))?;
        Ok((bytes, path.to_owned()))
    } else {
        Ok((argument.as_bytes().to_owned(), flag.to_owned()))
    }
}

/// The JSON of an argument called `--input`.
pub(super) fn json(argument: &str) -> Result<Value, UsageError> {
    let (bytes, place) = bytes(argument, "--input")?;
    serde_json::from_slice(&bytes).map_err(|error| UsageError(format!("{place} is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_comes_as_text_or_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.json");
        std::fs::write(&path, r#"{"inputs": ["a"]}"#).unwrap();
        assert_eq!(
            json(&format!("@{}", path.display())).unwrap(),
            json(r#"{"inputs":["a"]}"#).unwrap()
        );
    }

    #[test]
    fn input_that_is_no_json_is_named_with_its_place() {
        assert_eq!(
            json("{inputs").unwrap_err().to_string(),
            "--input is not JSON: key must be a string at line 1 column 2"
        );
        assert!(
            json("@/no/such/file")
                .unwrap_err()
                .to_string()
                .starts_with("can't read /no/such/file: ")
        );
    }
}
