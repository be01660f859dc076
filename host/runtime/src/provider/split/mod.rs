//! Lists longer than a provider takes in one call: sent in parts, side by side, and put together again in their order.
//!
//! A part is as long as the manifest's limits allow. Tokens are estimated ([`crate::estimate`]); a part that the
//! provider finds too large all the same is halved and sent again, until a single item is too large. The first part that
//! fails otherwise fails the whole, and what is left of it is cancelled.
//!
//! Each part is a call of its own: an instance, a deadline, a place among the provider's metrics.

mod answers;
mod parts;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::ops::Range;

use tokio::task::JoinSet;
use tracing::Instrument as _;

pub(super) use answers::{dense, ranking, sparse};
pub(super) use parts::{Limits, parts};

use crate::error::{CallError, CallErrorKind};

/// Most parts of one list under way at once: enough that a long one takes a few round trips, and few enough that it
/// leaves nine of ten connections of a default pool to others.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// The answers of all parts, in their order, each with where its part begins; or the error of the part that failed first,
/// with its places.
pub(super) type Answers<R> = Result<Vec<(usize, R)>, (Range<usize>, CallError)>;

/// Calls for each part, and halves those that are too large.
pub(super) async fn side_by_side<R, F>(
    parts: Vec<Range<usize>>,
    most: usize,
    call: impl Fn(Range<usize>) -> F,
) -> Answers<R>
where
    R: Send + 'static,
    F: Future<Output = Result<R, CallError>> + Send + 'static,
{
    let mut waiting = VecDeque::from(parts);
    if waiting.len() == 1
        && let Some(whole) = waiting.pop_front()
    {
        // Nothing to run beside it, so no task.
        match call(whole.clone()).await {
            Ok(answer) => return Ok(vec![(whole.start, answer)]),
            Err(error) => waiting.extend(halves(whole, error)?),
        }
    }
    let mut answers = BTreeMap::new();
    // Dropping it aborts what is in it.
    let mut running = JoinSet::new();
    loop {
        while running.len() < most.max(1)
            && let Some(part) = waiting.pop_front()
        {
            let answer = call(part.clone());
            running.spawn(async move { (part, answer.await) }.in_current_span());
        }
        match running.join_next().await {
            None => return Ok(answers.into_iter().collect()),
            Some(Ok((part, Ok(answer)))) => {
                answers.insert(part.start, answer);
            }
            Some(Ok((part, Err(error)))) => {
                for half in halves(part, error)?.into_iter().rev() {
                    waiting.push_front(half);
                }
            }
            Some(Err(lost)) => match lost.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, and drops this as well.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Both halves of a part that was too large.
fn halves(part: Range<usize>, error: CallError) -> Result<[Range<usize>; 2], (Range<usize>, CallError)> {
    if error.kind() != "too-large" || part.len() < 2 {
        return Err((part, error));
    }
    let middle = part.start + part.len() / 2;
    Ok([part.start..middle, middle..part.end])
}

/// An answer that does not fit the others.
fn malformed(what: String) -> CallErrorKind {
    CallErrorKind::Provider(crate::types::Error::MalformedResponse(what))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one part is one range")]
mod tests;
