//! What is still to go wrong at a simulator.

/// Faults that were asked for, each to happen once. Messages are counted from when a fault was asked for.
#[derive(Debug)]
pub(crate) struct Planned<M> {
    /// With the number of messages, in and out, when it was asked for.
    all: Vec<(M, usize, usize)>,
    received: usize,
    sent: usize,
}

impl<M> Default for Planned<M> {
    fn default() -> Self {
        Self { all: Vec::new(), received: 0, sent: 0 }
    }
}

impl<M: Copy + PartialEq> Planned<M> {
    pub(crate) fn plan(&mut self, fault: M) {
        self.all.push((fault, self.received, self.sent));
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    /// The first one that `wanted` wants; it is not planned any more.
    pub(crate) fn take<T>(&mut self, wanted: impl Fn(M) -> Option<T>) -> Option<T> {
        self.find(|fault, _, _| wanted(fault))
    }

    /// Whether this was planned; it is not any more.
    pub(crate) fn once(&mut self, what: M) -> bool {
        self.take(|fault| (fault == what).then_some(())).is_some()
    }

    /// A message has come. As [`Planned::take`]; `wanted` is told how many have come since the fault was asked for, 0 for
    /// the first.
    pub(crate) fn on_receive<T>(&mut self, wanted: impl Fn(M, usize) -> Option<T>) -> Option<T> {
        let now = self.received;
        self.received += 1;
        self.find(|fault, received, _| wanted(fault, now - received))
    }

    /// A message is to be sent. As [`Planned::on_receive`].
    pub(crate) fn on_send<T>(&mut self, wanted: impl Fn(M, usize) -> Option<T>) -> Option<T> {
        let now = self.sent;
        self.sent += 1;
        self.find(|fault, _, sent| wanted(fault, now - sent))
    }

    fn find<T>(&mut self, wanted: impl Fn(M, usize, usize) -> Option<T>) -> Option<T> {
        let mut all = self.all.iter().enumerate();
        let (at, found) = all.find_map(|(at, (fault, r, s))| Some((at, wanted(*fault, *r, *s)?)))?;
        self.all.remove(at);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_happens_once_and_where_it_was_asked_for() {
        let mut planned = Planned::default();
        let at = |wanted: usize| move |fault: usize, since: usize| (fault == wanted && since == fault).then_some(since);
        assert_eq!(planned.on_send(at(1)), None);
        planned.plan(1);
        planned.plan(0);
        assert_eq!([planned.on_send(at(1)), planned.on_send(at(1)), planned.on_send(at(1))], [None, Some(1), None]);
        assert_eq!([planned.on_receive(at(0)), planned.on_receive(at(0))], [Some(0), None]);
        planned.plan(7);
        assert!(planned.once(7) && !planned.once(7));
        planned.plan(7);
        planned.clear();
        assert_eq!(planned.take(Some), None);
    }
}
