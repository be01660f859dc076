//! Writes the table of bundled components: every `guest-providers/dist/*.wasm`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let dist = root.join("../../guest-providers/dist");
    println!("cargo::rerun-if-changed={}", dist.display());

    let components = components(&dist)?;
    if components.is_empty() {
        println!(
            "cargo::warning=no component in guest-providers/dist: run `just build-guests` to bundle the providers"
        );
    }
    let mut table = String::from("pub static COMPONENTS: &[(&str, &[u8])] = &[\n");
    for (name, path) in components {
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(
            table,
            "    ({name:?}, include_bytes!({:?})),",
            path.display().to_string()
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    fs::write(out.join("bundled.rs"), table)
}

fn components(dist: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dist) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut components = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            components.push((name.to_owned(), path.canonicalize()?));
        }
    }
    components.sort();
    Ok(components)
}
