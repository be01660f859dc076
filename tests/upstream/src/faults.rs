//! Faults to order: what is to go wrong, for which requests, how often.
//!
//! Orders are kept in the order they were given; a request takes the first one that is for it. Every kind:
//!
//! | fault | what the client meets |
//! |---|---|
//! | `status` | that status with the API's own error body, or the body and headers given |
//! | `answer_early` | that status before the request body is read, and the connection closed |
//! | `malformed_json` | 200 and JSON that breaks off |
//! | `html` | 502 and an HTML page |
//! | `close` | the connection closed (FIN) when the request has arrived, without an answer |
//! | `reset` | the connection reset (RST) when the request has arrived, without an answer |
//! | `cut_mid_body` | half of the true answer, then FIN (HTTP/2: the stream is reset) |
//! | `reset_mid_body` | half of the true answer, then RST (HTTP/2: the stream is reset) |
//! | `hang` | nothing, until the client gives up |
//! | `delay` | the true answer, later |
//! | `slow` | the true answer in small pieces with pauses between them |

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::Api;

/// What is to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// A status instead of the answer.
    Status {
        /// The status code, 100 to 999.
        code: u16,
        /// Headers to add, such as `retry-after`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body; the API's own error shape if absent.
        #[serde(default)]
        body: Option<String>,
    },
    /// A status while the request body is still arriving, then the connection closed.
    AnswerEarly {
        /// The status code, 100 to 999.
        code: u16,
    },
    /// 200, and JSON that breaks off.
    MalformedJson,
    /// 502, and an HTML page.
    Html,
    /// FIN instead of an answer.
    Close,
    /// RST instead of an answer.
    Reset,
    /// FIN in the middle of the answer's body.
    CutMidBody,
    /// RST in the middle of the answer's body.
    ResetMidBody,
    /// No answer at all.
    Hang,
    /// The answer after a while.
    Delay {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// The answer's body in pieces.
    Slow {
        /// Bytes a piece, at least one.
        bytes: usize,
        /// The pause after each, in milliseconds.
        millis: u64,
    },
}

/// An order: what goes wrong, for whom, how often. Once for any request, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    #[serde(rename = "fault")]
    pub kind: FaultKind,
    /// Only requests to this API.
    #[serde(default)]
    pub api: Option<Api>,
    /// Only requests whose path ends so, such as `/embeddings`.
    #[serde(default)]
    pub path: Option<String>,
    /// How many of these requests to let pass first.
    #[serde(default)]
    pub after: u32,
    /// Only every so-manieth of these requests then: 100 is one in a hundred.
    #[serde(default = "each")]
    pub every: NonZeroU32,
    /// How many of these requests it happens to then.
    #[serde(default)]
    pub times: Times,
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Times {
    /// So many times. In JSON a number.
    Count(u32),
    /// Until it is called off. In JSON the word `"always"`.
    Always(Always),
}

/// The word `always`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Always {
    /// The only value.
    Always,
}

fn each() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl Default for Times {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl Fault {
    /// Once, for any request.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            api: None,
            path: None,
            after: 0,
            every: each(),
            times: Times::default(),
        }
    }

    /// A status with the API's own error body.
    pub fn status(code: u16) -> Self {
        Self::new(FaultKind::Status {
            code,
            headers: BTreeMap::new(),
            body: None,
        })
    }

    /// 429 with `Retry-After` in seconds.
    pub fn too_many_requests(retry_after: u64) -> Self {
        let headers = BTreeMap::from([("retry-after".to_owned(), retry_after.to_string())]);
        Self::new(FaultKind::Status {
            code: 429,
            headers,
            body: None,
        })
    }

    /// The true answer in pieces of `bytes` with pauses between them.
    pub fn slow(bytes: usize, pause: Duration) -> Self {
        Self::new(FaultKind::Slow {
            bytes,
            millis: millis(pause),
        })
    }

    /// The true answer after `delay`.
    pub fn delay(delay: Duration) -> Self {
        Self::new(FaultKind::Delay { millis: millis(delay) })
    }

    /// Only for requests to this API.
    pub fn on(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Only for requests whose path ends so.
    pub fn path(mut self, ending: impl Into<String>) -> Self {
        self.path = Some(ending.into());
        self
    }

    /// Lets `requests` pass first.
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Happens to every `requests`th request alone.
    pub fn every(mut self, requests: u32) -> Self {
        self.every = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Happens so often.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Times::Count(times);
        self
    }

    /// Happens until it is called off.
    pub fn always(mut self) -> Self {
        self.times = Times::Always(Always::Always);
        self
    }

    fn is_for(&self, api: Option<Api>, path: &str) -> bool {
        self.api.is_none_or(|wanted| api == Some(wanted)) && self.path.as_ref().is_none_or(|end| path.ends_with(end))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The orders that stand.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Order>>);

#[derive(Debug)]
struct Order {
    fault: Fault,
    /// Requests it was for, those that it let pass first not counted.
    seen: u32,
}

impl Faults {
    pub(crate) fn order(&self, fault: Fault) {
        self.lock().push(Order { fault, seen: 0 });
    }

    pub(crate) fn call_off(&self) {
        self.lock().clear();
    }

    pub(crate) fn standing(&self) -> Vec<Fault> {
        self.lock().iter().map(|order| order.fault.clone()).collect()
    }

    /// What is to happen to this request, if anything.
    pub(crate) fn take(&self, api: Option<Api>, path: &str) -> Option<FaultKind> {
        let mut orders = self.lock();
        let mut taken = None;
        for Order { fault, seen } in orders.iter_mut().filter(|order| order.fault.is_for(api, path)) {
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            *seen = seen.wrapping_add(1);
            if *seen % fault.every.get() != 0 {
                continue;
            }
            match &mut fault.times {
                Times::Count(0) => continue,
                Times::Count(left) => *left -= 1,
                Times::Always(_) => {}
            }
            taken = Some(fault.kind.clone());
            break;
        }
        orders.retain(|order| order.fault.times != Times::Count(0));
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EMBED: &str = "/v1/embeddings";

    #[test]
    fn a_fault_happens_once_unless_told_otherwise() {
        let faults = Faults::default();
        faults.order(Fault::new(FaultKind::Close));
        assert_eq!(faults.take(Some(Api::Voyage), EMBED), Some(FaultKind::Close));
        assert_eq!(faults.take(Some(Api::Voyage), EMBED), None);
        faults.order(Fault::new(FaultKind::Hang).always());
        for _ in 0..3 {
            assert_eq!(faults.take(None, "/"), Some(FaultKind::Hang));
        }
        faults.call_off();
        assert_eq!(faults.take(None, "/"), None);
    }

    #[test]
    fn a_fault_is_only_for_its_api_and_path() {
        let faults = Faults::default();
        faults.order(Fault::new(FaultKind::Reset).on(Api::Voyage).path("/rerank"));
        assert_eq!(faults.take(Some(Api::Cohere), "/v2/rerank"), None);
        assert_eq!(faults.take(Some(Api::Voyage), EMBED), None);
        assert_eq!(faults.take(Some(Api::Voyage), "/v1/rerank"), Some(FaultKind::Reset));
    }

    #[test]
    fn orders_are_taken_in_turn_and_may_let_requests_pass_first() {
        let faults = Faults::default();
        faults.order(Fault::new(FaultKind::Html).after(1).times(2));
        faults.order(Fault::new(FaultKind::Close));
        let met: Vec<_> = (0..4).map(|_| faults.take(None, "/")).collect();
        assert_eq!(
            met,
            [
                Some(FaultKind::Close),
                Some(FaultKind::Html),
                Some(FaultKind::Html),
                None
            ]
        );
        assert!(faults.standing().is_empty());
    }

    #[test]
    fn a_fault_may_happen_to_every_so_manieth_request() {
        let faults = Faults::default();
        faults.order(Fault::new(FaultKind::Close).after(1).every(3).times(2));
        let met: Vec<bool> = (0..9).map(|_| faults.take(None, "/").is_some()).collect();
        assert_eq!(met, [false, false, false, true, false, false, true, false, false]);
    }

    #[test]
    fn orders_are_written_in_json() {
        let written = json!({"fault": "hang", "api": "openai", "path": "/embeddings", "times": "always"});
        let fault: Fault = serde_json::from_value(written).unwrap();
        assert_eq!(
            fault,
            Fault::new(FaultKind::Hang).on(Api::OpenAi).path("/embeddings").always()
        );
        let written =
            json!({"fault": {"status": {"code": 429, "headers": {"retry-after": "2"}}}, "times": 3, "every": 50});
        let fault: Fault = serde_json::from_value(written).unwrap();
        assert_eq!(fault, Fault::too_many_requests(2).times(3).every(50));
        assert!(serde_json::from_value::<Fault>(json!({"fault": "hang", "tiems": 2})).is_err());
        assert!(
            serde_json::from_value::<Fault>(json!({"fault": {"slow": {"bytes": 1, "millis": 2, "x": 1}}})).is_err()
        );
    }
}
