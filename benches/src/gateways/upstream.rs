//! The upstream behind every gateway: OpenAI's embeddings and streamed chat, answered by hand as soon as they are asked for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::process;
use crate::server::request_length;

/// Words of a streamed answer, and the time between them.
pub const WORDS: usize = 50;
const PACE: Duration = Duration::from_millis(1);

/// A vector's length where one text is embedded, and where many are.
pub const SHORT: usize = 8;
pub const LONG: usize = 1_024;

#[derive(Args)]
pub struct Options {
    /// The core it keeps to.
    #[arg(long)]
    core: usize,
    /// Texts in the larger of the two requests.
    #[arg(long)]
    inputs: usize,
}

/// Says its port on the first line of standard output, and serves until it is ended.
pub fn run(options: &Options) -> anyhow::Result<()> {
    process::settle(options.core)?;
    let answers = Answers::new(options.inputs);
    process::runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A gateway that goes away in the middle is no concern of the server's.
            tokio::spawn(serve(stream, answers.clone()));
        }
    })
}

/// Made once; as base64 where that is asked for, else in numbers.
#[derive(Clone)]
struct Answers {
    one: [Bytes; 2],
    many: [Bytes; 2],
    words: Vec<Bytes>,
}

impl Answers {
    fn new(inputs: usize) -> Self {
        let embeddings =
            |inputs, dimensions| [true, false].map(|base64| whole(&embeddings(inputs, dimensions, base64)));
        let mut words: Vec<Bytes> = (0..WORDS).map(|place| chunk(&word(place))).collect();
        words.push(chunk("data: [DONE]\n\n"));
        words.push(Bytes::from_static(b"0\r\n\r\n"));
        Self {
            one: embeddings(1, SHORT),
            many: embeddings(inputs, LONG),
            words,
        }
    }
}

fn embeddings(inputs: usize, dimensions: usize, base64: bool) -> String {
    let vector: Vec<f32> = (0..dimensions).map(|place| 1.0 / (1.0 + place as f32)).collect();
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let vector = if base64 {
        json!(STANDARD.encode(bytes))
    } else {
        json!(vector)
    };
    let data: Vec<_> = (0..inputs)
        .map(|index| json!({"object": "embedding", "embedding": vector, "index": index}))
        .collect();
    let usage = json!({"prompt_tokens": 8 * inputs, "total_tokens": 8 * inputs});
    json!({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}).to_string()
}

fn word(place: usize) -> String {
    let last = place + 1 == WORDS;
    let choice = json!({
        "index": 0,
        "delta": if place == 0 { json!({"role": "assistant", "content": "so"}) } else { json!({"content": " on"}) },
        "finish_reason": last.then_some("stop"),
    });
    let event = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o-mini",
        "choices": [choice],
    });
    format!("data: {event}\n\n")
}

fn whole(body: &str) -> Bytes {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

fn chunk(text: &str) -> Bytes {
    format!("{:x}\r\n{text}\r\n", text.len()).into()
}

async fn serve(mut stream: TcpStream, answers: Answers) -> anyhow::Result<()> {
    const STREAMED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut received = Vec::with_capacity(64 << 10);
    while stream.read_buf(&mut received).await? > 0 {
        while let Some(length) = request_length(&received) {
            let request: Vec<u8> = received.drain(..length).collect();
            let says = |word: &[u8]| request.windows(word.len()).any(|window| window == word);
            if says(b"/chat/completions") {
                let Some((first, rest)) = answers.words.split_first() else {
                    continue;
                };
                stream.write_all(&[STREAMED, first].concat()).await?;
                for word in rest {
                    tokio::time::sleep(PACE).await;
                    stream.write_all(word).await?;
                }
                continue;
            }
            // The smaller request has a few hundred bytes.
            let [base64, numbers] = if length > 10_000 { &answers.many } else { &answers.one };
            stream.write_all(if says(b"base64") { base64 } else { numbers }).await?;
        }
    }
    Ok(())
}
