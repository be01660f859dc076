//! The memory a component starts with, shared by all its instances.

use std::io;

use wasmtime::component::Component;

/// How often the kernel is asked. It waits for some 150 ms itself before it says that it is busy
/// (`memfd_wait_for_pins` in Linux's mm/memfd.c).
const ATTEMPTS: usize = 20;

/// Makes the images of a component's memories now, so that no instance fails for want of one later.
///
/// wasmtime keeps an image in a sealed file in memory (`memfd_create(2)`). Sealing fails with `EBUSY` while the kernel
/// has a page of it in other hands, as it does when it moves pages on a machine short of memory: nothing is wrong
/// with the component then, and soon it succeeds.
pub(crate) fn prepare(component: &Component) -> wasmtime::Result<()> {
    unless_busy(|| component.initialize_copy_on_write_image()).map_err(|error| {
        let cause = error.root_cause().to_string();
        error.context(format!("the image of its memory could not be made ({cause})"))
    })
}

fn unless_busy(mut make: impl FnMut() -> wasmtime::Result<()>) -> wasmtime::Result<()> {
    for _ in 1..ATTEMPTS {
        match make() {
            Err(error) if is_busy(&error) => tracing::debug!("{error:#}; it is tried again"),
            made => return made,
        }
    }
    make()
}

fn is_busy(error: &wasmtime::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::ResourceBusy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the crate that makes the file says it.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot add seals to the memfd")]
    struct Unsealed(#[source] io::Error);

    fn failing(errors: usize, kind: io::ErrorKind) -> (wasmtime::Result<()>, usize) {
        let mut attempts = 0;
        let made = unless_busy(|| {
            attempts += 1;
            if attempts <= errors {
                return Err(Unsealed(kind.into()).into());
            }
            Ok(())
        });
        (made, attempts)
    }

    #[test]
    fn a_busy_kernel_is_asked_again() {
        let (made, attempts) = failing(3, io::ErrorKind::ResourceBusy);
        assert!(made.is_ok());
        assert_eq!(attempts, 4);
    }

    #[test]
    fn one_that_stays_busy_is_an_error_in_the_end() {
        let (made, attempts) = failing(usize::MAX, io::ErrorKind::ResourceBusy);
        assert!(made.is_err());
        assert_eq!(attempts, ATTEMPTS);
    }

    #[test]
    fn other_errors_are_told_at_once() {
        let (made, attempts) = failing(usize::MAX, io::ErrorKind::OutOfMemory);
        assert!(made.is_err());
        assert_eq!(attempts, 1);
    }
}
