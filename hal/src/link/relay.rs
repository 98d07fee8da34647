//! Forwards bytes between two links, such as a till and its device, with a recorder in between.

use crate::{Error, Kind, Link, Result};

/// Forwards in both directions until one side ends, then ends the other.
///
/// # Errors
/// A side failed other than by ending.
pub async fn relay(left: &dyn Link, right: &dyn Link) -> Result<()> {
    let ended = tokio::select! {
        biased;
        // The device's answers first, since the host is waiting for them.
        ended = pass(right, left) => ended,
        ended = pass(left, right) => ended,
    };
    left.close().await;
    right.close().await;
    match ended {
        error if error.kind() == Kind::Closed => Ok(()),
        error => Err(error),
    }
}

/// Forwards in one direction until an error, which it returns.
async fn pass(from: &dyn Link, to: &dyn Link) -> Error {
    let mut chunk = Vec::new();
    loop {
        if let Err(error) = from.recv(&mut chunk).await {
            return error;
        }
        if let Err(error) = to.send(&chunk).await {
            return error;
        }
        chunk.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory;

    #[tokio::test]
    async fn passes_on_both_ways_until_one_side_ends() {
        let (till, left) = memory::pair();
        let (device, right) = memory::pair();
        let passing = tokio::spawn(async move { relay(&left, &right).await });
        till.send(b"\x10\x04\x01").await.expect("open");
        let mut got = Vec::new();
        device.recv(&mut got).await.expect("passed on");
        assert_eq!(got, b"\x10\x04\x01");
        device.send(b"\x12").await.expect("open");
        till.recv(&mut got).await.expect("passed on");
        assert_eq!(got, b"\x10\x04\x01\x12");
        drop(till);
        passing.await.expect("no panic").expect("it ended in order");
        assert_eq!(device.recv(&mut got).await.expect_err("ended").kind(), Kind::Closed);
    }
}
