//! What the served models really compute: vectors from a static table of word pieces, and a lexical relevance score.
//!
//! | part | gives |
//! |---|---|
//! | [`tokenizer`] | text to the ids of word pieces |
//! | [`table`] | ids to one vector |
//! | [`rank`] | ids of a query and of documents to scores between 0 and 1 |
//! | [`Model`] | the three together, as the APIs use them |

pub(crate) mod rank;
pub(crate) mod table;
pub(crate) mod tokenizer;

use table::Table;
use tokenizer::Tokenizer;

/// The bundled table (sentence-transformers/all-MiniLM-L6-v2 distilled, Apache-2.0; see the NOTICE beside it).
static TABLE: &[u8] = include_bytes!("../../../guest-providers/local/data/model.safetensors");
/// One word piece a line; the line number is the row in the table.
static VOCABULARY: &str = include_str!("../../../guest-providers/local/data/vocab.txt");

/// A text's vector and how many word pieces it was made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Embedding {
    pub(crate) vector: Vec<f32>,
    pub(crate) tokens: u64,
}

/// A document's place and relevance after ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) index: usize,
    pub(crate) score: f32,
}

/// The ranked documents, best first, and the word pieces read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranking {
    pub(crate) results: Vec<Ranked>,
    pub(crate) tokens: u64,
}

/// The embedding and ranking model behind every served API.
pub(crate) struct Model {
    tokenizer: Tokenizer,
    table: Table,
}

impl Model {
    /// Reads the bundled table and vocabulary.
    pub(crate) fn load() -> anyhow::Result<Self> {
        Ok(Self {
            tokenizer: Tokenizer::parse(VOCABULARY)?,
            table: Table::parse(TABLE)?,
        })
    }

    /// The text's vector at the table's own width, or padded or cut to `dimensions`.
    pub(crate) fn embed(&self, text: &str, dimensions: Option<usize>) -> Embedding {
        let ids = self.tokenizer.encode(text);
        let natural = self.table.vector(&ids);
        let vector = match dimensions {
            Some(wanted) => table::resize(natural, wanted),
            None => natural,
        };
        Embedding {
            vector,
            tokens: ids.len() as u64,
        }
    }

    /// How many word pieces the text has.
    pub(crate) fn count_tokens(&self, text: &str) -> u64 {
        self.tokenizer.encode(text).len() as u64
    }

    /// The documents by lexical relevance to the query, best first; equals keep their order.
    pub(crate) fn rank(&self, query: &str, documents: &[String], top: Option<usize>) -> Ranking {
        let pieces: Vec<Vec<u32>> = documents.iter().map(|text| self.tokenizer.encode_words(text)).collect();
        let scores = rank::scores(&self.tokenizer.encode_words(query), &pieces);
        let mut results: Vec<Ranked> = scores
            .into_iter()
            .enumerate()
            .map(|(index, score)| Ranked { index, score })
            .collect();
        results.sort_by(|a, b| b.score.total_cmp(&a.score));
        results.truncate(top.unwrap_or(usize::MAX));
        // Providers count the query once for every document it is compared with.
        let tokens = self.count_tokens(query) * documents.len() as u64
            + documents.iter().map(|text| self.count_tokens(text)).sum::<u64>();
        Ranking { results, tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn texts_about_the_same_thing_are_nearer_than_others() {
        let model = Model::load().unwrap();
        let query = model.embed("open a file and read its lines", None).vector;
        let near = model
            .embed(
                "fn read_lines(path: &Path) -> io::Result<Vec<String>> { File::open(path) }",
                None,
            )
            .vector;
        let far = model
            .embed(
                "impl Shader { fn set_colour(&mut self, red: f32, green: f32, blue: f32) }",
                None,
            )
            .vector;
        assert!(dot(&query, &near) > dot(&query, &far));
    }

    #[test]
    fn every_vector_has_length_one_at_any_width() {
        let model = Model::load().unwrap();
        for dimensions in [None, Some(64), Some(256), Some(1024)] {
            let vector = model.embed("connection pool", dimensions).vector;
            assert_eq!(vector.len(), dimensions.unwrap_or(256));
            assert!((dot(&vector, &vector) - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn padding_keeps_every_cosine() {
        let model = Model::load().unwrap();
        let pair = |dimensions| {
            let a = model.embed("retry with backoff", dimensions).vector;
            let b = model
                .embed("exponential delay before the next attempt", dimensions)
                .vector;
            dot(&a, &b)
        };
        assert!((pair(None) - pair(Some(1024))).abs() < 1e-6);
    }

    #[test]
    fn the_document_that_answers_the_query_ranks_first() {
        let model = Model::load().unwrap();
        let documents = [
            "the cat sat on the mat",
            "connections are returned to the pool",
            "pools of water",
        ]
        .map(String::from);
        let ranking = model.rank("how is a connection returned to its pool", &documents, Some(2));
        assert_eq!(ranking.results.len(), 2);
        assert_eq!(ranking.results[0].index, 1);
        assert!(ranking.results.iter().all(|ranked| (0.0..=1.0).contains(&ranked.score)));
    }
}
