//! Compiling, bounded: so many components at once, each for so long.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a component may take to compile, its wait for a processor included. A bundled adapter takes about 0.25 s.
pub(crate) const COMPILE_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs compilations beside the runtime's workers, as many at once as there are processors.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    places: Arc<Semaphore>,
}

impl Compiler {
    pub(crate) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Compiler {
            places: Arc::new(Semaphore::new(processors)),
        }
    }

    /// Waits for a place and compiles. A thread cannot be ended from outside: what takes too long goes on alone and
    /// keeps its place until it is done; what it leaves in the cache serves a later attempt.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        compile: impl FnOnce() -> wasmtime::Result<T> + Send + 'static,
    ) -> wasmtime::Result<T> {
        let compiling = async {
            let place = self.places.clone().acquire_owned().await?;
            let compile = move || {
                let _place = place;
                compile()
            };
            tokio::task::spawn_blocking(compile).await?
        };
        match timeout(limit, compiling).await {
            Ok(compiled) => compiled,
            Err(_) => Err(wasmtime::format_err!("it takes longer than {limit:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A compilation that lasts until the sender is dropped.
    fn endless() -> (mpsc::Sender<()>, impl FnOnce() -> wasmtime::Result<()> + Send + 'static) {
        let (end, ended) = mpsc::channel::<()>();
        (end, move || {
            let _ = ended.recv();
            Ok(())
        })
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_an_error_that_says_so() {
        let (_end, compile) = endless();
        let error = Compiler::new()
            .run(Duration::from_millis(10), compile)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "it takes longer than 10ms");
    }

    #[tokio::test]
    async fn one_that_goes_on_alone_keeps_its_place_until_it_is_done() {
        let compiler = Compiler {
            places: Arc::new(Semaphore::new(1)),
        };
        let (end, compile) = endless();
        assert!(compiler.run(Duration::from_millis(10), compile).await.is_err());
        let next = compiler.run(Duration::from_millis(10), || Ok(())).await;
        assert!(next.is_err(), "two were compiled at once");
        drop(end);
        assert!(compiler.run(COMPILE_TIMEOUT, || Ok(())).await.is_ok());
    }
}
