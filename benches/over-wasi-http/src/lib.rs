//! `pooled-http` made of `wasi:http`: composed with it, an adapter is a component that sends its requests by itself and
//! brings its key along.

wit_bindgen::generate!({
    path: "../../wit/v0.1.0",
    inline: "
        package benches:over-wasi-http;
        world over-wasi-http {
            export weir:provider/pooled-http@0.1.0;
        }
    ",
    generate_all,
});

use exports::weir::provider::pooled_http::{Credential, Guest, Request, Response, StreamingResponse};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request as Outgoing, Response as Incoming, Scheme};
use wasip3::{wit_future as wasi_future, wit_stream as wasi_stream};
use weir::provider::types::{Header, HttpError};

struct OverWasiHttp;

export!(OverWasiHttp);

impl Guest for OverWasiHttp {
    async fn send(request: Request) -> Result<Response, HttpError> {
        let body = request.body.clone().unwrap_or_default();
        let (mut writer, reader) = wasi_stream::new();
        let outgoing = outgoing(request, reader)?;
        wit_bindgen::spawn_local(async move {
            writer.write_all(body).await;
        });
        let answer = client::send(outgoing).await.map_err(failed)?;
        let status = answer.get_status_code();
        let headers = answer.get_headers().copy_all();
        let (stream, trailers) = Incoming::consume_body(answer, wasi_future::new(|| Ok(())).1);
        let body = stream.collect().await;
        trailers.await.map_err(failed)?;
        Ok(Response {
            status,
            headers: headers
                .into_iter()
                .map(|(name, value)| Header {
                    name,
                    value: String::from_utf8_lossy(&value).into_owned(),
                })
                .collect(),
            body,
        })
    }

    async fn send_streaming(_: Request) -> Result<StreamingResponse, HttpError> {
        Err(HttpError::InvalidRequest("only whole answers".into()))
    }
}

fn outgoing(request: Request, body: wit_bindgen::StreamReader<u8>) -> Result<Outgoing, HttpError> {
    let invalid = |part: &str| HttpError::InvalidRequest(part.to_owned());
    let fields = Fields::new();
    let add = |name: &str, value: &str| fields.append(name, value.as_bytes()).map_err(|_| invalid(name));
    for Header { name, value } in &request.headers {
        add(name, value)?;
    }
    if let Some(Credential::Bearer(_)) = request.credential {
        add("authorization", "Bearer bench-key")?;
    }
    if let Some(body) = &request.body {
        add("content-length", &body.len().to_string())?;
    }
    let (_, no_trailers) = wasi_future::new(|| Ok(None));
    let (outgoing, _sent) = Outgoing::new(fields, Some(body), no_trailers, None);
    let rest = request.url.strip_prefix("http://").ok_or_else(|| invalid("URL"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    outgoing
        .set_method(&Method::Other(request.method))
        .and_then(|()| outgoing.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| outgoing.set_authority(Some(authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(path)))
        .map_err(|()| invalid("URL"))?;
    Ok(outgoing)
}

fn failed(code: ErrorCode) -> HttpError {
    HttpError::Protocol(format!("{code:?}"))
}
