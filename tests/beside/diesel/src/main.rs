//! tresen and diesel in one program.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("beside-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let store = tresen::Store::open(&dir.join("till.db"), Arc::new(tresen::SystemRuntime::new())).await?;
    SqliteConnection::establish(":memory:")?.batch_execute("CREATE TABLE theirs (id INTEGER)")?;
    println!("till {}", store.till());
    Ok(())
}
