//! Compiled code on disk: a component is compiled once a machine, not once a start.
//!
//! An entry's name holds the component's digest and the engine's compatibility hash (wasmtime's version, target
//! and settings); its last 32 bytes are the BLAKE3 hash of what is before. The folder belongs to its owner alone, so
//! that nobody else can plant code; a damaged entry is compiled anew.
//!
//! An entry is mapped, not read: what a component never runs takes no memory, and its instances' first memory is the
//! file's pages. So no entry is ever written to, only replaced by a rename.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::RuntimeError;

const HASH_LEN: usize = blake3::OUT_LEN;

/// Where compiled components are kept.
#[derive(Debug)]
pub(crate) struct CompileCache {
    folder: PathBuf,
}

impl CompileCache {
    /// Makes the folder, or takes one that is there if nobody else can write to it.
    pub(crate) fn open(folder: &Path) -> Result<CompileCache, RuntimeError> {
        let unusable = |reason: String| RuntimeError::Cache {
            folder: folder.to_owned(),
            reason,
        };
        create_private(folder).map_err(|error| unusable(error.to_string()))?;
        if let Some(defect) = defect(folder).map_err(|error| unusable(error.to_string()))? {
            return Err(unusable(defect.to_owned()));
        }
        Ok(CompileCache {
            folder: folder.to_owned(),
        })
    }

    /// The compiled component, from disk if it is there and whole.
    pub(crate) fn load_or_compile(&self, engine: &Engine, digest: &str, bytes: &[u8]) -> wasmtime::Result<Component> {
        let entry = self.entry(engine, digest);
        if let Some(component) = read(engine, &entry) {
            tracing::debug!(digest, "component loaded from the compile cache");
            return Ok(component);
        }
        let component = Component::new(engine, bytes)?;
        tracing::debug!(digest, "component compiled");
        // Without the entry the next start compiles again: slower, not wrong.
        if let Err(error) = write(&entry, &component.serialize()?) {
            tracing::warn!(entry = %entry.display(), %error, "the compiled component could not be kept");
        }
        Ok(component)
    }

    fn entry(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let digest = digest.trim_start_matches("blake3:");
        self.folder.join(format!("{digest}-{:016x}.cwasm", hasher.finish()))
    }
}

fn read(engine: &Engine, entry: &Path) -> Option<Component> {
    match is_whole(entry) {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(entry = %entry.display(), "a damaged entry of the compile cache is replaced");
            return None;
        }
        // There is none as a rule.
        Err(_) => return None,
    }
    deserialize(engine, entry)
        .inspect_err(|error| tracing::warn!(entry = %entry.display(), %error, "an unusable entry of the compile cache is replaced"))
        .ok()
}

fn is_whole(entry: &Path) -> io::Result<bool> {
    let mut file = fs::File::open(entry)?;
    let Some(code) = file.metadata()?.len().checked_sub(HASH_LEN as u64) else {
        return Ok(false);
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader((&file).take(code))?;
    let mut hash = [0; HASH_LEN];
    file.read_exact(&mut hash)?;
    Ok(hasher.finalize().as_bytes() == &hash)
}

/// The one place where compiled code is trusted.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, entry: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize_file` asks for bytes that `Component::serialize` made, and that nobody changes as long as the
    // component lives. Only this module writes entries, each whole before it has its name, and none twice; the
    // folder is this user's and nobody else can write to it (checked in `open`; the folders above it are taken to be
    // as private as the user's home), and this user could replace this program as well;
    // the hash shows that the entry is whole. wasmtime itself refuses another version or other settings.
    unsafe { Component::deserialize_file(engine, entry) }
}

/// Writes beside the entry and renames, so that no reader meets half an entry.
fn write(entry: &Path, code: &[u8]) -> io::Result<()> {
    // Two threads may write the same entry at once.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let partial = entry.with_extension(format!("{}-{number}.partial", std::process::id()));
    let written = create_private_file(&partial).and_then(|mut file| {
        file.write_all(code)?;
        file.write_all(blake3::hash(code).as_bytes())
    });
    written
        .and_then(|()| fs::rename(&partial, entry))
        .inspect_err(|_| drop(fs::remove_file(&partial)))
}

#[cfg(unix)]
fn create_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Why code in the folder could be somebody else's.
#[cfg(unix)]
fn defect(folder: &Path) -> io::Result<Option<&'static str>> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(folder)?;
    Ok(if metadata.uid() != rustix::process::geteuid().as_raw() {
        Some("it belongs to another user; name a folder of your own")
    } else if metadata.mode() & 0o022 != 0 {
        Some("others can write to it; take that right away (chmod go-w)")
    } else {
        None
    })
}

#[cfg(not(unix))]
fn defect(_folder: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

#[cfg(unix)]
fn create_private_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn create_private_file(path: &Path) -> io::Result<fs::File> {
    fs::File::create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{digest, engine::engine};

    fn entry_of(folder: &Path) -> PathBuf {
        let mut entries: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }

    #[test]
    fn a_damaged_entry_is_compiled_anew_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("cache");
        let cache = CompileCache::open(&folder).unwrap();
        let engine = engine().unwrap();
        let bytes = wat::parse_str("(component)").unwrap();
        cache.load_or_compile(&engine, &digest(&bytes), &bytes).unwrap();
        let entry = entry_of(&folder);
        let whole = fs::read(&entry).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        for unusable in [&damaged, &whole[1..], &whole[..whole.len() - 1], b"short"] {
            fs::remove_file(&entry).unwrap();
            fs::write(&entry, unusable).unwrap();
            assert!(read(&engine, &entry).is_none());
            cache.load_or_compile(&engine, &digest(&bytes), &bytes).unwrap();
            assert!(read(&engine, &entry_of(&folder)).is_some());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            CompileCache::open(folder.path()),
            Err(RuntimeError::Cache { .. })
        ));
    }
}
