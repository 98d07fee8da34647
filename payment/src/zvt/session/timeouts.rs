//! How long the other side is waited for (PA00P015, chapter "Timeouts").

use std::time::Duration;

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// T3: for the acknowledgement of a command. 5 s.
    pub t3: Duration,
    /// T4: for the next command of the terminal. 180 s; the terminal can change it.
    pub t4: Duration,
    /// The same where no customer is waited for (registration, status enquiry, repeat receipt). 10 s;
    /// the terminal cannot change it.
    pub enquiry: Duration,
    /// The whole of one command, however much the terminal talks: then the dialogue is over, and an
    /// enquiry unanswered. 10 minutes, more than any customer takes; an enquiry has
    /// [`Timeouts::ENQUIRY_LIMIT`] at most.
    pub limit: Duration,
}

impl Timeouts {
    /// The whole of an enquiry, unless [`Timeouts::limit`] is shorter: 2 minutes.
    pub const ENQUIRY_LIMIT: Duration = Duration::from_secs(120);
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { t3: seconds(5), t4: seconds(180), enquiry: seconds(10), limit: seconds(600) }
    }
}
