//! The built program: what it prints, and when it ends.

use std::process::Stdio;

use crate::client::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

#[tokio::test]
async fn the_program_says_where_it_listens_and_ends_with_its_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let mut program = Command::new(env!("CARGO_BIN_EXE_weir-upstream"))
        .args([
            "--exit-with-stdin",
            "--api-key",
            "k",
            "--api-key-of",
            "voyage=v",
            "--tls-ca-file",
        ])
        .arg(&ca_file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let endpoints: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(endpoints["tls"]["ca_file"], json!(ca_file));

    let request = json!({"model": "voyage-code-3", "input": "open a file"});
    let mut voyage = Client::to(endpoints["voyage"].as_str().unwrap()).await.key("v");
    assert_eq!(voyage.post("/embeddings", request).await.status, 200);
    let mut openai = Client::to(endpoints["own_ports"]["openai"].as_str().unwrap())
        .await
        .key("k");
    assert_eq!(openai.get("/models").await.status, 200);
    let mut control = Client::to(endpoints["control"].as_str().unwrap()).await;
    assert_eq!(control.get("/stats").await.json()["requests"]["total"], 2);
    let ca_pem = std::fs::read_to_string(&ca_file).unwrap();
    let mut secure = Client::with_http2(endpoints["tls"]["openai"].as_str().unwrap(), &ca_pem)
        .await
        .key("k");
    assert_eq!(secure.get("/models").await.status, 200);

    drop(program.stdin.take());
    assert!(program.wait().await.unwrap().success());
}
