//! nexo against its simulator, and against a terminal written by hand, on tokio's paused clock: whatever breaks, the
//! journal says what the terminal's ledger says, or unknown and why; nothing that moves money is sent twice.

mod any_bytes;
mod card_data;
mod counter;
mod device;
mod doubt;
mod http;
#[path = "../common/net.rs"]
mod net;
mod peer;
mod plain;
mod sweep;
