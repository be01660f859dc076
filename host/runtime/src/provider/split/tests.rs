use std::sync::Arc;
use std::sync::Mutex;

use super::*;
use crate::types::{Error, Failure};
use tokio_util::sync::CancellationToken;

fn refusal(make: impl Fn(Failure) -> Error) -> CallError {
    let failure = Failure {
        message: "no".to_owned(),
        status: None,
        code: None,
        request_id: None,
        retry_after: None,
    };
    CallError::new("p", "embed", CallErrorKind::Provider(make(failure)))
}

/// Every part is answered with its length, those longer than `takes` refused as too large.
async fn ask(parts: &[Range<usize>], takes: usize) -> (Result<Vec<(usize, usize)>, Range<usize>>, Vec<Range<usize>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answer = side_by_side(parts.to_vec(), 2, |part| {
        let asked = asked.clone();
        async move {
            asked.lock().unwrap().push(part.clone());
            if part.len() > takes {
                return Err(refusal(Error::TooLarge));
            }
            Ok(part.len())
        }
    });
    let answer = answer.await.map_err(|(part, _)| part);
    let asked = asked.lock().unwrap().clone();
    (answer, asked)
}

#[tokio::test]
async fn answers_come_in_the_order_of_their_parts() {
    let (answers, _) = ask(&[0..3, 3..6, 6..7], 3).await;
    assert_eq!(answers.unwrap(), [(0, 3), (3, 3), (6, 1)]);
}

#[tokio::test]
async fn a_part_that_is_too_large_is_halved_until_it_fits() {
    let (answers, asked) = ask(&[0..5], 2).await;
    assert_eq!(answers.unwrap(), [(0, 2), (2, 1), (3, 2)]);
    assert_eq!(asked[..2], [0..5, 0..2]);
}

#[tokio::test]
async fn an_item_that_is_too_large_alone_is_named() {
    let (answers, asked) = ask(&[0..4], 0).await;
    assert_eq!(answers.unwrap_err().len(), 1);
    assert!(asked.contains(&(0..1)));
}

#[tokio::test]
async fn one_part_that_fails_cancels_the_others() {
    let (begun, dropped) = (CancellationToken::new(), CancellationToken::new());
    let answer = side_by_side::<(), _>(vec![0..1, 1..2, 2..3], 2, |part| {
        let (begun, guard) = (begun.clone(), (part.start == 0).then(|| dropped.clone().drop_guard()));
        async move {
            let _guard = guard;
            match part.start {
                0 => {
                    begun.cancel();
                    std::future::pending().await
                }
                1 => {
                    begun.cancelled().await;
                    Err(refusal(Error::InvalidInput))
                }
                _ => panic!("nothing more is asked for"),
            }
        }
    });
    let (part, error) = answer.await.unwrap_err();
    assert_eq!((part, error.kind()), (1..2, "invalid-input"));
    dropped.cancelled().await;
}

#[tokio::test]
async fn no_more_are_under_way_at_once_than_may_be() {
    let under_way = Arc::new(Mutex::new((0, 0)));
    let parts: Vec<_> = (0..20).map(|start| start..start + 1).collect();
    let answers = side_by_side(parts, 3, |_| {
        let under_way = under_way.clone();
        async move {
            {
                let (now, most) = &mut *under_way.lock().unwrap();
                *now += 1;
                *most = (*most).max(*now);
            }
            tokio::task::yield_now().await;
            under_way.lock().unwrap().0 -= 1;
            Ok(())
        }
    });
    assert_eq!(answers.await.map_err(|(part, _)| part).unwrap().len(), 20);
    assert_eq!(*under_way.lock().unwrap(), (0, 3));
}
