//! tresen and sqlx in one program.

use std::sync::Arc;

use sqlx::Connection;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("beside-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let store = tresen::Store::open(&dir.join("till.db"), Arc::new(tresen::SystemRuntime::new())).await?;
    let mut theirs = sqlx::SqliteConnection::connect("sqlite::memory:").await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut theirs).await?;
    println!("till {}, SQLite {version}", store.till());
    Ok(())
}
