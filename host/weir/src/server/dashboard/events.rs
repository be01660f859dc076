//! `GET /v1/events`: what the dashboard shows, as server-sent events.
//!
//! | event | data |
//! |---|---|
//! | `history` | the last five minutes, once, at the start |
//! | `picture` | the moment, once a second |
//! | `stopping` | the server is stopping; the last one |
//!
//! A client that reads slowly gets every picture that it has time for, and none is kept for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::picture::Picture;
use crate::server::app::App;
use crate::server::auth;
use crate::server::error::ApiError;

/// How many may watch at once: a handful of people with a page or two each, at a few kilobytes a second.
const MAX_WATCHERS: usize = 16;

/// When a client that found no place may ask again.
const COME_BACK: Duration = Duration::from_secs(10);

/// Those who watch.
pub(crate) struct Watchers {
    places: Arc<Semaphore>,
    /// The newest picture, as JSON.
    picture: watch::Sender<Arc<str>>,
}

impl Default for Watchers {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_WATCHERS)),
            picture: watch::Sender::new(Arc::from("")),
        }
    }
}

impl Watchers {
    /// Shows them the moment, if there is anyone.
    pub fn tell(&self, app: &App) {
        if self.picture.receiver_count() > 0 {
            self.picture.send_replace(draw(app));
        }
    }
}

/// Someone who watches.
struct Watcher {
    app: Arc<App>,
    headers: HeaderMap,
    pictures: watch::Receiver<Arc<str>>,
    next: Next,
    _place: OwnedSemaphorePermit,
}

enum Next {
    History,
    FirstPicture,
    Picture,
    Nothing,
}

pub(crate) async fn events(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let Ok(place) = app.watchers.places.clone().try_acquire_owned() else {
        let message = format!("{MAX_WATCHERS} clients watch already");
        let mut error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_watchers", message);
        error.retry_after = Some(COME_BACK);
        return Err(error);
    };
    let watcher = Watcher {
        pictures: app.watchers.picture.subscribe(),
        app,
        headers,
        next: Next::History,
        _place: place,
    };
    let mut response = Sse::new(stream_to(watcher)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx buffers answers unless told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn stream_to(watcher: Watcher) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    stream::unfold(watcher, async |mut watcher| {
        let event = watcher.event().await?;
        Some((Ok(event), watcher))
    })
}

impl Watcher {
    /// The next event; none when the key was taken away, or after the last one.
    async fn event(&mut self) -> Option<Event> {
        match self.next {
            Next::History => {
                self.next = Next::FirstPicture;
                let history = json!({ "points": self.app.history.points() });
                Some(event("history", history.to_string()))
            }
            Next::FirstPicture => {
                self.next = Next::Picture;
                Some(event("picture", draw(&self.app)))
            }
            Next::Picture => {
                let stopping = self.app.lifecycle.stopping();
                tokio::select! {
                    biased;
                    () = stopping => {
                        self.next = Next::Nothing;
                        return Some(event("stopping", "{}"));
                    }
                    changed = self.pictures.changed() => changed.ok()?,
                }
                auth::admit(&self.app.serving().keys, &self.headers).ok()?;
                let picture = self.pictures.borrow_and_update().clone();
                Some(event("picture", picture))
            }
            Next::Nothing => None,
        }
    }
}

fn draw(app: &App) -> Arc<str> {
    // It is made of numbers and texts: it can always be written.
    serde_json::to_string(&Picture::of(app)).unwrap_or_default().into()
}

fn event(name: &str, data: impl AsRef<str>) -> Event {
    Event::default().event(name).data(data)
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use axum::Router;
    use axum::body::{Body, BodyDataStream};
    use axum::http::Request;
    use futures::StreamExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::server::app::Serving;
    use crate::server::auth::ApiKeys;
    use crate::server::fake::{FakeBackend, FakeProvider, pool_stats};
    use crate::server::routes::router;

    fn app(keys: &[&str]) -> Arc<App> {
        let mut stats = pool_stats();
        (stats.active, stats.waiting) = (2, 1);
        let backend = FakeBackend::default()
            .provider(FakeProvider::new("voyage"))
            .pool("voyage", stats);
        let keys: Vec<_> = keys.iter().map(|key| (*key).into()).collect();
        App::new(Arc::new(backend), ApiKeys::new(&keys).unwrap())
    }

    async fn watch(router: &Router) -> (u16, BodyDataStream) {
        let request = Request::get("/v1/events").header("authorization", "Bearer k");
        let answer = router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        (answer.status().as_u16(), answer.into_body().into_data_stream())
    }

    async fn next(stream: &mut Pin<&mut BodyDataStream>) -> (String, Value) {
        let bytes = stream.next().await.expect("the stream is over").unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let (name, data) = text.trim_end().split_once('\n').unwrap();
        let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        (name.strip_prefix("event: ").unwrap().to_owned(), data)
    }

    #[tokio::test]
    async fn a_watcher_is_told_the_past_then_each_moment_then_the_end() {
        let app = app(&[]);
        let mut stream = pin!(watch(&router(app.clone())).await.1);
        assert_eq!(next(&mut stream).await.0, "history");
        let (name, picture) = next(&mut stream).await;
        assert_eq!(name, "picture");
        assert_eq!(picture["pools"]["voyage"]["waiting"], 1);
        assert_eq!(picture["health"]["services"]["voyage"]["state"], "healthy");
        for _ in 0..2 {
            app.history.read(app.backend().as_ref());
            app.watchers.tell(&app);
            assert_eq!(next(&mut stream).await.0, "picture");
        }
        app.lifecycle.start_draining();
        assert_eq!(next(&mut stream).await.0, "stopping");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn whose_key_is_taken_away_sees_no_more() {
        let app = app(&["k"]);
        let mut stream = pin!(watch(&router(app.clone())).await.1);
        next(&mut stream).await;
        next(&mut stream).await;
        app.serve(Serving {
            backend: app.backend(),
            keys: ApiKeys::new(&["another".into()]).unwrap(),
        });
        app.watchers.tell(&app);
        assert!(stream.next().await.is_none());
        assert_eq!(watch(&router(app)).await.0, 401);
    }

    #[tokio::test]
    async fn only_so_many_watch_and_who_leaves_makes_room() {
        let router = router(app(&[]));
        let mut watching = Vec::new();
        for _ in 0..MAX_WATCHERS {
            watching.push(watch(&router).await.1);
        }
        assert_eq!(watch(&router).await.0, 503);
        watching.pop();
        assert_eq!(watch(&router).await.0, 200);
    }
}
