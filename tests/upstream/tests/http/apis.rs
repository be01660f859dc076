//! The served APIs, driven over HTTP as their clients drive them.

use crate::client::Client;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};
use weir_upstream::{Api, PointId, Upstream};

fn floats(base64: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}

fn numbers(list: &Value) -> Vec<f32> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap() as f32)
        .collect()
}

#[tokio::test]
async fn voyage_gives_the_same_vectors_in_numbers_and_in_base64() {
    let upstream = Upstream::start().await.unwrap();
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    let mut request = json!({"model": "voyage-code-3", "input": ["open a file", "the cat"], "input_type": "document"});
    let plain = voyage.post("/embeddings", request.clone()).await.json();
    request["encoding_format"] = json!("base64");
    let packed = voyage.post("/embeddings", request).await.json();
    assert_eq!(plain["usage"], json!({"total_tokens": 5}));
    for index in 0..2 {
        assert_eq!(plain["data"][index]["index"], index);
        let vector = numbers(&plain["data"][index]["embedding"]);
        assert_eq!(vector.len(), 256);
        assert_eq!(vector, floats(&packed["data"][index]["embedding"]));
    }
}

#[tokio::test]
async fn voyage_refuses_more_inputs_than_the_provider_takes() {
    let upstream = Upstream::start().await.unwrap();
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    let refused = voyage
        .post(
            "/embeddings",
            json!({"model": "voyage-code-3", "input": vec!["a"; 129]}),
        )
        .await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["detail"].as_str().unwrap().contains("128"));
    assert_eq!(
        voyage
            .post(
                "/embeddings",
                json!({"model": "voyage-code-3", "input": vec!["a"; 128]})
            )
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn rerankers_give_the_best_documents_first() {
    let upstream = Upstream::start().await.unwrap();
    let documents = ["the cat sat", "connections go back to the pool", "a swimming pool"];
    let query = "how does the pool take connections back";
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    let ranked = voyage
        .post(
            "/rerank",
            json!({"model": "rerank-2.5", "query": query, "documents": documents, "top_k": 2}),
        )
        .await
        .json();
    assert_eq!(
        (&ranked["data"][0]["index"], ranked["data"].as_array().unwrap().len()),
        (&json!(1), 2)
    );
    let mut cohere = Client::to(&upstream.cohere_url()).await;
    let ranked = cohere
        .post(
            "/v2/rerank",
            json!({"model": "rerank-v3.5", "query": query, "documents": documents, "top_n": 1}),
        )
        .await
        .json();
    assert_eq!(
        (
            &ranked["results"][0]["index"],
            ranked["results"].as_array().unwrap().len()
        ),
        (&json!(1), 1)
    );
}

#[tokio::test]
async fn cohere_gives_every_type_asked_for_at_the_width_asked_for() {
    let upstream = Upstream::start().await.unwrap();
    let mut cohere = Client::to(&upstream.cohere_url()).await;
    let request = json!({"model": "embed-v4.0", "texts": ["hello"], "input_type": "search_query",
        "embedding_types": ["float", "base64"], "output_dimension": 1024});
    let answer = cohere.post("/v2/embed", request).await.json();
    let vector = numbers(&answer["embeddings"]["float"][0]);
    assert_eq!(vector.len(), 1024);
    assert_eq!(vector, floats(&answer["embeddings"]["base64"][0]));
    let without_type = json!({"model": "embed-v4.0", "texts": ["hello"]});
    assert_eq!(cohere.post("/v2/embed", without_type).await.status, 400);
    let many = json!({"model": "embed-v4.0", "texts": vec!["a"; 97], "input_type": "search_query"});
    assert_eq!(cohere.post("/v2/embed", many).await.status, 400);
}

#[tokio::test]
async fn every_api_refuses_a_wrong_key_in_its_own_words() {
    let upstream = Upstream::builder()
        .api_key("right")
        .api_key_of(Api::Cohere, "own")
        .start()
        .await
        .unwrap();
    let wrong = |url: String| async move { Client::to(&url).await.key("wrong") };
    let mut voyage = wrong(upstream.voyage_url()).await;
    let refused = voyage.post("/embeddings", json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["detail"].is_string()),
        (401, true)
    );
    let mut cohere = wrong(upstream.cohere_url()).await;
    assert_eq!(
        cohere.post("/v2/embed", json!({})).await.json()["message"],
        "invalid api token"
    );
    let mut openai = wrong(upstream.openai_url()).await;
    let refused = openai.get("/models").await;
    assert_eq!(refused.json()["error"]["code"], "invalid_api_key");
    assert!(refused.headers.contains_key("x-request-id"));
    let mut qdrant = wrong(upstream.qdrant_url()).await;
    let refused = qdrant.get("/collections").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body[..]),
        (401, &b"Invalid API key or JWT"[..])
    );
    assert_eq!(qdrant.get("/").await.status, 200);

    assert_eq!(
        Client::to(&upstream.openai_url())
            .await
            .key("right")
            .get("/models")
            .await
            .status,
        200
    );
    let own = json!({"model": "embed-v4.0", "texts": ["a"], "input_type": "search_query"});
    assert_eq!(
        Client::to(&upstream.cohere_url())
            .await
            .key("own")
            .post("/v2/embed", own)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn openai_streams_the_words_it_would_answer_whole() {
    let upstream = Upstream::start().await.unwrap();
    let mut openai = Client::to(&upstream.openai_url()).await;
    let mut request = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello there"}]});
    let whole = openai.post("/chat/completions", request.clone()).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], "You said: hello there");
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    let streamed = openai.post("/chat/completions", request).await;
    assert_eq!(streamed.headers["content-type"], "text/event-stream");
    let text = String::from_utf8(streamed.body.to_vec()).unwrap();
    let events: Vec<&str> = text
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap())
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events
        .iter()
        .rev()
        .skip(1)
        .rev()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let said: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(said, "You said: hello there");
    assert_eq!(chunks.last().unwrap()["usage"], whole["usage"]);
}

#[tokio::test]
async fn openai_refuses_unknown_models_and_foreign_tokens() {
    let upstream = Upstream::start().await.unwrap();
    let mut openai = Client::to(&upstream.openai_url()).await;
    let unknown = openai
        .post("/embeddings", json!({"model": "no-such-model", "input": "a"}))
        .await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    let tokens = openai
        .post("/embeddings", json!({"model": "m", "input": [[1, 2], [3]]}))
        .await;
    assert_eq!(
        (tokens.status.as_u16(), &tokens.json()["error"]["param"]),
        (400, &json!("input"))
    );
}

#[tokio::test]
async fn qdrant_keeps_finds_counts_and_removes_points() {
    let upstream = Upstream::start().await.unwrap();
    let mut qdrant = Client::to(&upstream.qdrant_url()).await;
    let created = qdrant
        .send(
            Method::PUT,
            "/collections/docs",
            json!({"vectors": {"dense": {"size": 2, "distance": "Cosine"}}, "sparse_vectors": {"sparse": {"modifier": "idf"}}}),
        )
        .await
        .unwrap();
    assert_eq!(
        (&created.json()["result"], &created.json()["status"]),
        (&json!(true), &json!("ok"))
    );
    let points = json!({"points": [
        {"id": 1, "vector": {"dense": [3, 4], "sparse": {"indices": [7, 1], "values": [1, 2]}}, "payload": {"path": "a.rs"}},
        {"id": "936DA01F9ABD4d9d80C702AF85C822A8", "vector": {"dense": [1, 0]}, "payload": {"path": "b.rs"}},
    ]});
    let upserted = qdrant
        .send(Method::PUT, "/collections/docs/points?wait=true", points)
        .await
        .unwrap()
        .json();
    assert_eq!(upserted["result"], json!({"operation_id": 1, "status": "completed"}));

    let query = json!({
        "prefetch": [
            {"query": [1, 0], "using": "dense", "limit": 10},
            {"query": {"indices": [7], "values": [1]}, "using": "sparse", "limit": 10},
        ],
        "query": {"fusion": "rrf"}, "limit": 1, "with_payload": true,
    });
    let found = qdrant.post("/collections/docs/points/query", query).await.json();
    // Second in the dense list, first in the sparse one.
    assert_eq!(found["result"]["points"][0]["payload"]["path"], "a.rs");
    assert_eq!(
        found["result"]["points"][0]["score"].as_f64().unwrap() as f32,
        1.0 / 3.0 + 1.0 / 2.0
    );

    let page = qdrant
        .post("/collections/docs/points/scroll", json!({"limit": 1}))
        .await
        .json();
    assert_eq!(
        page["result"]["next_page_offset"],
        "936da01f-9abd-4d9d-80c7-02af85c822a8"
    );
    let stored = upstream.points("docs");
    assert_eq!(
        (stored[0].id, &stored[0].dense["dense"]),
        (PointId::Number(1), &vec![0.6, 0.8])
    );
    assert_eq!(stored[0].sparse["sparse"].indices, [1, 7]);

    let only = json!({"filter": {"must": [{"key": "path", "match": {"value": "b.rs"}}]}});
    qdrant.post("/collections/docs/points/delete?wait=true", only).await;
    assert_eq!(
        qdrant.post("/collections/docs/points/count", json!({})).await.json()["result"]["count"],
        1
    );
    assert_eq!(
        qdrant
            .send(Method::DELETE, "/collections/docs", Value::Null)
            .await
            .unwrap()
            .json()["result"],
        true
    );
    assert!(upstream.points("docs").is_empty());
}

#[tokio::test]
async fn qdrant_answers_mistakes_as_a_real_server_does() {
    let upstream = Upstream::builder()
        .qdrant_read_only_key("reader")
        .start()
        .await
        .unwrap();
    let mut qdrant = Client::to(&upstream.own_url_of(Api::Qdrant)).await;
    let plain = json!({"vectors": {"size": 2, "distance": "Dot"}});
    for status in [200, 409] {
        assert_eq!(
            qdrant
                .send(Method::PUT, "/collections/plain", plain.clone())
                .await
                .unwrap()
                .status,
            status
        );
    }
    for (path, body, status, error) in [
        (
            "/collections/absent/points/query",
            json!({"query": [1, 0]}),
            404,
            "Not found: Collection `absent` doesn't exist!",
        ),
        (
            "/collections/plain/points/delete",
            json!({"points": []}),
            400,
            "Bad request: Empty update request",
        ),
        (
            "/collections/plain/points/query",
            json!({"query": [1], "limit": 1}),
            400,
            "Wrong input: Vector dimension error: expected dim: 2, got 1",
        ),
        (
            "/collections/plain/points/query",
            json!({"query": [1, 0], "limit": 0}),
            422,
            "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]",
        ),
    ] {
        let refused = qdrant.post(path, body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["status"]["error"]),
            (status, &json!(error))
        );
    }
    let unknown = qdrant.get("/no/such/path").await;
    assert_eq!((unknown.status.as_u16(), unknown.body.len()), (404, 0));
    let mut reader = Client::to(&upstream.qdrant_url()).await.key("reader");
    assert_eq!(reader.get("/collections/plain").await.status, 200);
    assert_eq!(
        reader
            .send(Method::DELETE, "/collections/plain", Value::Null)
            .await
            .unwrap()
            .status,
        403
    );
}

#[tokio::test]
async fn a_number_is_given_back_as_it_was_kept() {
    let upstream = Upstream::start().await.unwrap();
    let mut qdrant = Client::to(&upstream.qdrant_url()).await;
    qdrant
        .send(
            Method::PUT,
            "/collections/c",
            json!({"vectors": {"size": 3, "distance": "Dot"}}),
        )
        .await
        .unwrap();
    let point = json!({"points": [{"id": u64::MAX, "vector": [0.1, 0.123456789012345, 16777217]}]});
    qdrant.send(Method::PUT, "/collections/c/points", point).await.unwrap();
    let read = qdrant.get("/collections/c/points/18446744073709551615").await;
    let text = String::from_utf8(read.body.to_vec()).unwrap();
    assert!(
        text.contains("18446744073709551615") && text.contains("[0.1,0.12345679,16777216.0]"),
        "{text}"
    );
}
