//! `include/tresen.h` says what the functions are. `UPDATE=1` writes it anew.

use std::error::Error;
use std::path::Path;

#[test]
fn the_header_is_that_of_the_functions() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml"))?;
    let mut made = Vec::new();
    cbindgen::Builder::new().with_config(config).with_src(folder.join("src/lib.rs")).generate()?.write(&mut made);
    let (made, file) = (String::from_utf8(made)?, folder.join("include/tresen.h"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &made)?;
    }
    let kept = std::fs::read_to_string(&file)?;
    assert!(kept == made, "{} is not up to date: UPDATE=1 cargo test --workspace --test header", file.display());
    Ok(())
}
