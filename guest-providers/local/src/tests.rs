//! The adapter's operations, called as the host calls them.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use embedding::Guest as _;
use metadata::Guest as _;
use sparse_embedding::Guest as _;

/// The operations wait for nothing: they are done when they are first polled.
fn done<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the call waits for something"),
    }
}

fn request(inputs: &[&str]) -> EmbeddingRequest {
    let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
    EmbeddingRequest {
        inputs,
        model: None,
        kind: None,
        dimensions: None,
    }
}

fn embed(inputs: &[&str]) -> embedding::Response {
    done(Local::embed(request(inputs))).unwrap()
}

#[test]
fn vectors_are_those_of_an_independent_computation() {
    // Computed in Python from the published tensors, in double precision: numpy for the formula, `unicodedata` and a
    // greedy WordPiece for the tokens (which equalled those of the package `tokenizers`, BertWordPieceTokenizer, on
    // 300 source files). Columns: text; WordPieces; the vector's values 0 to 3 and 255; the sum of all its values.
    let expected: [(&str, u64, [f32; 4], f32, f32); 4] = [
        (
            "fn max_idle(pool: &HttpPool) -> usize { pool.maxIdle }",
            21,
            [-0.083521, 0.216246, -0.056429, -0.073807],
            0.024436,
            -0.66844,
        ),
        (
            "Returns the number of idle connections.",
            7,
            [-0.098187, 0.10953, -0.131507, -0.119784],
            0.006872,
            -0.12699,
        ),
        (
            "Ångström naïve 日本 tokenizer 🦀",
            8,
            [0.248373, 0.341724, -0.262211, -0.032515],
            -0.000584,
            -0.2336,
        ),
        (
            "The the THE the",
            4,
            [0.137005, 0.332726, -0.265617, -0.164165],
            -0.080512,
            0.32299,
        ),
    ];
    for (text, pieces, first, last, sum) in expected {
        let response = embed(&[text]);
        let near = |a: f32, b: f32, what: &str| assert!((a - b).abs() < 1e-4, "{text}: {what} is {a}, not {b}");
        assert_eq!(response.usage.input_tokens, pieces, "{text}");
        for (value, expected) in response.vectors.iter().zip(first) {
            near(*value, expected, "a value");
        }
        near(response.vectors[255], last, "the last value");
        near(response.vectors.iter().sum(), sum, "the sum");
    }
}

#[test]
fn vectors_are_flat_of_length_one_and_in_the_order_of_the_inputs() {
    let both = embed(&["an idle connection", "a tree"]);

    assert_eq!((both.model.as_str(), both.dimensions), ("local-code-256", 256));
    assert_eq!(both.vectors.len(), 512);
    assert_eq!(both.vectors[..256], embed(&["an idle connection"]).vectors);
    assert_eq!(both.vectors[256..], embed(&["a tree"]).vectors);
    for vector in both.vectors.chunks_exact(256) {
        let length: f32 = vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn a_call_leaves_nothing_behind_for_the_next() {
    let fresh = embed(&["pool"]).vectors;
    embed(&["pool pool pool of connections"]);
    assert_eq!(embed(&["pool"]).vectors, fresh);
}

#[test]
fn an_empty_text_has_the_zero_vector_and_no_tokens() {
    let response = embed(&["", " \n\t"]);
    assert_eq!(response.vectors, [0.0; 512]);
    assert_eq!(response.usage.input_tokens, 0);
}

#[test]
fn kindred_texts_are_nearer_than_strange_ones() {
    let vectors = embed(&[
        "close idle connections",
        "fn close_idle_connections(&self)",
        "bake the bread",
    ])
    .vectors;
    let dot = |a: usize, b: usize| -> f32 {
        vectors[a * 256..][..256]
            .iter()
            .zip(&vectors[b * 256..][..256])
            .map(|(a, b)| a * b)
            .sum()
    };
    assert!(dot(0, 1) > dot(0, 2) + 0.3, "{} {}", dot(0, 1), dot(0, 2));
}

#[test]
fn another_length_of_the_vectors_is_refused() {
    let asking = |dimensions| {
        done(Local::embed(EmbeddingRequest {
            dimensions: Some(dimensions),
            ..request(&["a"])
        }))
    };
    assert!(asking(256).is_ok());
    assert!(matches!(asking(128), Err(Error::InvalidInput(failure)) if failure.message.contains("128")));
}

#[test]
fn another_model_is_not_found() {
    let asking = EmbeddingRequest {
        model: Some("voyage-3".to_owned()),
        ..request(&["a"])
    };
    assert!(matches!(done(Local::embed(asking.clone())), Err(Error::NotFound(_))));
    assert!(matches!(done(Local::embed_sparse(asking)), Err(Error::NotFound(_))));
}

#[test]
fn more_inputs_than_the_manifest_allows_are_too_large() {
    let limit = Local::describe().limits[0].max_items.unwrap() as usize;
    assert!(done(Local::embed(request(&vec!["a"; limit]))).is_ok());
    assert!(matches!(
        done(Local::embed(request(&vec!["a"; limit + 1]))),
        Err(Error::TooLarge(_))
    ));
}

#[test]
fn sparse_vectors_of_query_and_document_share_their_indices() {
    let as_kind = |kind| {
        done(Local::embed_sparse(EmbeddingRequest {
            kind,
            ..request(&["idlePool of lakes"])
        }))
        .unwrap()
    };
    let (document, query) = (as_kind(None), as_kind(Some(InputKind::Query)));

    assert_eq!(document.vectors[0].indices, query.vectors[0].indices);
    assert_eq!(query.vectors[0].values, [1.0; 5]);
    assert_eq!(
        document.vectors[0].values,
        as_kind(Some(InputKind::Document)).vectors[0].values
    );
    assert_ne!(document.vectors[0].values, query.vectors[0].values);
    assert_eq!(document.usage.input_tokens, 5);
}

#[test]
fn the_manifest_wants_nothing() {
    let manifest = Local::describe();
    assert!(manifest.origins.is_empty() && manifest.secrets.is_empty() && !manifest.stateful);
}
