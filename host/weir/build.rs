//! Writes two tables: of the bundled components, every `guest-providers/dist/*.wasm`; and of the files that a new
//! adapter's crate is made of.

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
    fs::write(out.join("bundled.rs"), table)?;
    fs::write(out.join("scaffold.rs"), scaffold(&root)?)
}

/// The templates of `weir new`; and what its crates have as it is here: the contract, and the SDK with its licences, its
/// lock file and the way it is built.
fn scaffold(root: &Path) -> io::Result<String> {
    const SDK: &str = "vendor/weir-guest";
    let repository = root.join("../..");
    let guests = repository.join("guest-providers");
    let copies = [
        (guests.join("sdk"), SDK.to_owned()),
        (repository.join("LICENSE-APACHE"), format!("{SDK}/LICENSE-APACHE")),
        (repository.join("LICENSE-MIT"), format!("{SDK}/LICENSE-MIT")),
        (repository.join("wit"), "wit".to_owned()),
        (repository.join("rust-toolchain.toml"), "rust-toolchain.toml".to_owned()),
        (repository.join("rustfmt.toml"), "rustfmt.toml".to_owned()),
        (guests.join("Cargo.lock"), "Cargo.lock".to_owned()),
        (guests.join(".cargo/config.toml"), ".cargo/config.toml".to_owned()),
    ];
    let mut tables = String::new();
    for (name, sources) in [
        ("TEMPLATES", &[(root.join("scaffold"), String::new())][..]),
        ("COPIES", &copies[..]),
    ] {
        let mut files = Vec::new();
        for (source, place) in sources {
            println!("cargo::rerun-if-changed={}", source.display());
            collect(source, place, &mut files)?;
        }
        files.sort();
        let entries: String = files
            .iter()
            .map(|(place, file)| format!("    ({place:?}, include_str!({:?})),\n", file.display().to_string()))
            .collect();
        writeln!(tables, "pub static {name}: &[(&str, &str)] = &[\n{entries}];").map_err(io::Error::other)?;
    }
    Ok(tables)
}

/// Every file of a folder, or the file itself, with its place in the crate.
fn collect(source: &Path, place: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    if !source.is_dir() {
        files.push((place.to_owned(), source.canonicalize()?));
        return Ok(());
    }
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let below = if place.is_empty() {
            name.into_owned()
        } else {
            format!("{place}/{name}")
        };
        collect(&entry.path(), &below, files)?;
    }
    Ok(())
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
