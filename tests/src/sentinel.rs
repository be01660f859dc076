//! The watch for secrets: whatever a run of the program lets out is searched for the keys it was given.
//!
//! Every run logs all there is to log, unless the test sets `RUST_LOG` itself. A key belongs to the upstream alone: one
//! that is found in output, in a log or in an answer fails the test.

use std::io::{BufRead, BufReader, Read};
use std::process::Output;

use weir_upstream::DEFAULT_API_KEY;

use crate::Finished;

/// Shorter values may stand anywhere by chance.
const SHORTEST: usize = 8;

/// What one program must not let out.
#[derive(Clone)]
pub(crate) struct Sentinel {
    secrets: Vec<String>,
    /// Whether the log is there for the watch alone, and not for the test.
    logs_for_itself: bool,
}

impl Sentinel {
    /// Watches for the upstream's key and for every variable whose name ends with `_KEY`.
    pub(crate) fn of(environment: &[(String, String)]) -> Sentinel {
        let given = environment
            .iter()
            .filter(|(name, value)| name.ends_with("_KEY") && value.len() >= SHORTEST)
            .map(|(_, value)| value.clone());
        Sentinel {
            secrets: given.chain([DEFAULT_API_KEY.to_owned()]).collect(),
            logs_for_itself: environment.iter().all(|(name, _)| name != "RUST_LOG"),
        }
    }

    /// Searches what was let out at a place.
    ///
    /// # Errors
    /// If there is a secret in it.
    pub(crate) fn search(&self, place: &str, let_out: &[u8]) -> anyhow::Result<()> {
        let text = String::from_utf8_lossy(let_out);
        for secret in &self.secrets {
            // As a text, and as `Debug` shows bytes.
            let bytes = format!("{:?}", secret.as_bytes());
            for form in [secret.as_str(), bytes.trim_matches(['[', ']'])] {
                if let Some(line) = text.lines().find(|line| line.contains(form)) {
                    anyhow::bail!("the key `{secret}` is in {place}: {line}");
                }
            }
        }
        Ok(())
    }

    /// Searches all a run left, then takes the log out that the test did not ask for.
    pub(crate) fn finished(&self, output: Output) -> anyhow::Result<Finished> {
        self.search("standard output", &output.stdout)?;
        self.search("standard error", &output.stderr)?;
        let mut finished = Finished::from(output);
        if self.logs_for_itself {
            finished.stderr = finished
                .stderr
                .split_inclusive('\n')
                .filter(|line| !is_chatter(line))
                .collect();
        }
        Ok(finished)
    }

    /// Reads a log to its end, hands on what would have been in it anyway, and tells what it found.
    pub(crate) fn read_log(&self, log: impl Read) -> anyhow::Result<()> {
        let mut found = Ok(());
        let mut log = BufReader::new(log);
        let mut line = Vec::new();
        while log.read_until(b'\n', &mut line)? > 0 {
            found = found.and(self.search("the log", &line));
            let text = String::from_utf8_lossy(&line);
            if !self.logs_for_itself || !is_chatter(&text) {
                eprint!("{text}");
            }
            line.clear();
        }
        found
    }
}

/// Whether a line is of the log, below a warning: a time, a level, and what there is to say.
fn is_chatter(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let time = words.next().unwrap_or_default();
    let level = words.next().unwrap_or_default();
    time.starts_with(|digit: char| digit.is_ascii_digit())
        && time.ends_with('Z')
        && ["TRACE", "DEBUG", "INFO"].contains(&level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinel() -> Sentinel {
        Sentinel::of(&[("SOME_KEY".to_owned(), "hush-hush-1".to_owned())])
    }

    #[test]
    fn a_key_is_found_as_text_and_as_bytes() {
        for let_out in [
            "Bearer hush-hush-1".to_owned(),
            format!("x {DEFAULT_API_KEY}"),
            format!("{:?}", "<hush-hush-1>".as_bytes()),
        ] {
            assert!(sentinel().search("here", let_out.as_bytes()).is_err(), "{let_out}");
        }
        assert!(sentinel().search("here", b"hush-hush").is_ok());
    }

    #[test]
    fn a_log_with_a_key_in_it_is_told_of() {
        let log = "2026-01-01T00:00:00.0Z TRACE hyper: hush-hush-1\n";
        assert!(sentinel().read_log(log.as_bytes()).is_err());
        assert!(
            sentinel()
                .read_log(&b"2026-01-01T00:00:00.0Z TRACE hyper: flushed\n"[..])
                .is_ok()
        );
    }
}
