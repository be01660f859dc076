//! The pool behind proxies: a tunnel for those who know the password, SOCKS5, and what is said of a wrong password.

use weir_pool::{PoolSettings, Proxies, ProxyError, SendError};

use crate::config;
use crate::servers::Over;
use crate::servers::load::{call, get, load};
use crate::servers::nginx::Nginx;
use crate::servers::proxies::{Dante, Tinyproxy};
use crate::servers::rest::Subject;

/// A pool whose connections go through the proxy at `url`, which listens at `port`.
fn through(url: &str, port: u16, nginx: &Nginx) -> Subject {
    let settings = PoolSettings {
        proxies: Proxies::through(url, "").unwrap(),
        ..config(4).into()
    };
    Subject {
        port,
        ..nginx.pool(Over::Http2, settings)
    }
}

async fn carries(subject: Subject, nginx: &Nginx, over: Over) {
    load(&subject.pool, &nginx.uri(over, "/"), 8, 25).await.assert_all_ok();
    subject.at_rest(|| nginx.open()).await;
    subject.close(|| nginx.open()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_asks_for_a_password_lets_those_through_who_know_it() {
    for over in Over::BOTH {
        let (nginx, proxy) = (Nginx::with(""), Tinyproxy::asking_for("me", "secret"));
        let url = format!("http://me:secret@127.0.0.1:{}", proxy.port);
        carries(through(&url, proxy.port, &nginx), &nginx, over).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_told_no_password_or_a_wrong_one_is_named_and_the_password_is_not() {
    let (nginx, proxy) = (Nginx::with(""), Tinyproxy::asking_for("me", "secret"));
    for user in ["", "me:wrong@"] {
        let url = format!("http://{user}127.0.0.1:{}", proxy.port);
        let subject = through(&url, proxy.port, &nginx);
        let error = call(&subject.pool, get(&nginx.uri(Over::Http2, "/")), false)
            .await
            .unwrap_err();
        let SendError::Proxy { source, .. } = &error else {
            panic!("{error:?}");
        };
        match user {
            "" => assert!(matches!(source, ProxyError::AuthenticationRequired), "{error:?}"),
            _ => assert!(matches!(source, ProxyError::AuthenticationFailed), "{error:?}"),
        }
        assert!(error.is_unprocessed());
        assert!(!format!("{error} {error:?}").contains("wrong"), "{error:?}");
        subject.close(|| nginx.open()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socks5_carries_both_versions_of_http() {
    for (over, scheme) in [
        (Over::Http1, "socks5"),
        (Over::Http2, "socks5"),
        (Over::Http1, "socks5h"),
    ] {
        let (nginx, proxy) = (Nginx::with(""), Dante::start());
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port);
        carries(through(&url, proxy.port, &nginx), &nginx, over).await;
    }
}
