//! `pooled-http`, lent to guests; and `wasi:http`, through the same checks and pool.
//!
//! | file | subject |
//! |---|---|
//! | `http` | one request: checked, given its credential, sent on the provider's pool |
//! | `egress` | where requests may go |
//! | `address` | which addresses are private |
//! | `headers` | which headers a guest may set |
//! | `credential` | secrets put into a request |
//! | `failure` | the pool's errors in the contract's words |
//! | `body` | an answer's body as a stream for the guest |
//! | `redact` | secrets taken out of answers |
//! | `wasi_http` | the second door: `wasi:http` for components that know no other |

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod credential;
pub(crate) mod egress;
mod failure;
mod headers;
pub(crate) mod http;
pub(crate) mod redact;
mod trace;
pub(crate) mod wasi_http;

use std::sync::Arc;

use wasmtime::component::{Accessor, FutureReader, HasData, StreamReader};

use crate::bindings::v0_1_0::pooled_http::{self, Request, Response, StreamingResponse};
use crate::bindings::v0_1_0::types::{self, HttpError};
use crate::instance::state::{CallContext, InstanceState};
use crate::lend::http::LentHttp;

/// Marks the linked interfaces whose data is the instance's own state.
pub(crate) struct Lend;

impl HasData for Lend {
    type Data<'a> = &'a mut InstanceState;
}

impl types::Host for &mut InstanceState {}
impl pooled_http::Host for &mut InstanceState {}

impl pooled_http::HostWithStore<InstanceState> for Lend {
    async fn send(
        accessor: &Accessor<InstanceState, Self>,
        request: Request,
    ) -> wasmtime::Result<Result<Response, HttpError>> {
        let (http, call) = match borrowed(accessor) {
            Ok(lent) => lent,
            Err(error) => return Ok(Err(error)),
        };
        Ok(http.send(&call, request).await)
    }

    async fn send_streaming(
        accessor: &Accessor<InstanceState, Self>,
        request: Request,
    ) -> wasmtime::Result<Result<StreamingResponse, HttpError>> {
        let (http, call) = match borrowed(accessor) {
            Ok(lent) => lent,
            Err(error) => return Ok(Err(error)),
        };
        let answer = match http.send_streaming(&call, request).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        let (status, headers) = (answer.status, answer.headers.clone());
        let (producer, done) = body::stream(answer, http, call);
        accessor.with(|mut access| {
            Ok(Ok(StreamingResponse {
                status,
                headers,
                body: StreamReader::new(&mut access, producer)?,
                done: FutureReader::new(&mut access, done)?,
            }))
        })
    }
}

/// What the instance was lent, and the call that uses it.
fn borrowed(accessor: &Accessor<InstanceState, Lend>) -> Result<(Arc<LentHttp>, Arc<CallContext>), HttpError> {
    accessor.with(|mut access| {
        let state = access.get();
        match (&state.http, &state.call) {
            (Some(http), Some(call)) => Ok((http.clone(), call.clone())),
            _ => Err(HttpError::EgressDenied("nothing is lent outside a call".to_owned())),
        }
    })
}
