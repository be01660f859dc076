//! "Did you mean …?"

/// The candidate that `word` is most likely a slip of, if one is near enough.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // 0.8 of Jaro-Winkler's scale, the bound that clap has for its own suggestions: one or two slips in a name.
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The end of a sentence about an unknown word: the nearest candidate, or all of them.
pub fn ending(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("; did you mean `{candidate}`?"),
        None if candidates.is_empty() => String::new(),
        None => format!("; there are {}", list(candidates)),
    }
}

/// `a`, `b` and `c`, each in backticks.
pub fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_none() {
        assert_eq!(
            nearest("max_conections", ["max_connections", "pool_timeout"]),
            Some("max_connections")
        );
        assert_eq!(nearest("colour", ["max_connections", "pool_timeout"]), None);
        assert_eq!(ending("xyz", &["a", "b", "c"]), "; there are `a`, `b` and `c`");
    }
}
