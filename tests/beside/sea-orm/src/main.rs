//! tresen and sea-orm in one program.

use std::sync::Arc;

use sea_orm::ConnectionTrait;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("beside-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let store = tresen::Store::open(&dir.join("till.db"), Arc::new(tresen::SystemRuntime::new())).await?;
    let theirs = sea_orm::Database::connect("sqlite::memory:").await?;
    theirs.execute_unprepared("CREATE TABLE theirs (id INTEGER)").await?;
    println!("till {}", store.till());
    Ok(())
}
