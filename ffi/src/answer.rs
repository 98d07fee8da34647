//! What a function answers: its status, and the error of its thread. No panic passes.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tresen::hal::{Effect, Error, Kind, Retry};

use crate::Status;

/// A status that is not OK, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    error: Box<Error>,
}

impl Failure {
    /// A wrong argument; nothing has happened.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        let error = Error::new(Kind::Input, what.into()).with_effect(Effect::None).with_retry(Retry::Never);
        Self { status: Status::Invalid, error: Box::new(error) }
    }

    /// A defect of the library.
    pub(crate) fn panicked(what: impl Into<String>) -> Self {
        let error = Error::new(Kind::Protocol, what.into()).with_effect(Effect::Unknown).with_retry(Retry::Never);
        let error = error.hint("close the till, open it again, and report this");
        Self { status: Status::Panicked, error: Box::new(error) }
    }

    /// The defect that a panic tells of.
    pub(crate) fn of_panic(panic: Box<dyn Any + Send>) -> Self {
        let failure = Self::panicked(format!("the library failed: {}", said(&*panic)));
        // What it carries may panic when it is dropped.
        forget(|| drop(panic));
        failure
    }

    pub(crate) fn is_panic(&self) -> bool {
        self.status == Status::Panicked
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: Status::Failed, error: Box::new(error) }
    }
}

/// Runs the body of a function, and keeps its error for [`last`].
pub(crate) fn answer(work: impl FnOnce() -> Result<Status, Failure>) -> Status {
    // What a panic leaves half-done is refused afterwards: `Till::check`.
    let (status, error) = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(status)) => (status, None),
        Ok(Err(failure)) => (failure.status, Some(failure.error)),
        Err(panic) => {
            let failure = Failure::of_panic(panic);
            (failure.status, Some(failure.error))
        }
    };
    let text = error.and_then(|error| CString::new(serde_json::to_string(&error).ok()?).ok());
    // A thread that ends has no place for it any more.
    LAST.try_with(|last| *last.borrow_mut() = text).ok();
    status
}

/// The error of the last function on this thread, as JSON.
pub(crate) fn last() -> Option<CString> {
    LAST.try_with(|last| last.borrow().clone()).ok().flatten()
}

/// Runs what has nothing to answer; a panic ends here.
pub(crate) fn forget(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        std::mem::forget(panic);
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}

thread_local! {
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_and_the_next_call_clears_it() {
        let status = answer(|| panic!("out of cheese"));
        assert_eq!(status, Status::Panicked);
        let error: Error = serde_json::from_slice(last().expect("an error").as_bytes()).expect("it is JSON");
        assert!(error.to_string().contains("out of cheese"), "{error}");
        assert_eq!((error.effect(), error.retry()), (Effect::Unknown, Retry::Never));
        assert_eq!(answer(|| Ok(Status::Ok)), Status::Ok);
        assert!(last().is_none());
    }

    #[test]
    fn what_a_panic_carries_may_panic_itself() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(answer(|| std::panic::panic_any(Bomb)), Status::Panicked);
    }

    #[test]
    fn an_error_belongs_to_its_thread() {
        answer(|| Err(Failure::invalid("here")));
        std::thread::spawn(|| assert!(last().is_none())).join().expect("no panic");
        assert!(last().is_some());
    }
}
