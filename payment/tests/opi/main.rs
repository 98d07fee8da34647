//! OPI against its simulator, over both channels, on tokio's paused clock: whatever breaks, the journal says what the
//! terminal's ledger says, or unknown and why; nothing that moves money is sent twice.

mod any_bytes;
mod channel;
mod counter;
mod doubt;
mod dying;
#[path = "../common/ended.rs"]
mod ended;
#[path = "../common/judging.rs"]
mod judging;
#[path = "../common/net.rs"]
mod net;
#[path = "../common/pairs.rs"]
mod pairs;
mod peer;
mod plain;
mod sweep;
#[path = "../common/words.rs"]
mod words;
