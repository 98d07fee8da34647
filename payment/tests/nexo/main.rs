//! nexo against its simulator, and against a terminal written by hand, on tokio's paused clock: whatever breaks, the
//! journal says what the terminal's ledger says, or unknown and why; nothing that moves money is sent twice.

mod any_bytes;
#[path = "../common/captured.rs"]
mod captured;
mod card_data;
mod counter;
#[path = "../common/damaged.rs"]
mod damaged;
mod device;
mod doubt;
#[path = "../common/ended.rs"]
mod ended;
mod http;
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
