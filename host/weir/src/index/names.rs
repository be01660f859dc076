//! Collections by name: which one a folder has, and where its manifest is.

use std::path::{Path, PathBuf};

use super::error::IndexError;

/// Longest name of a collection: a file's name may have 255 bytes, and stores put more around it.
const MAX_NAME: usize = 128;

/// Hex digits of the path's hash in a default name: enough to tell the folders of one machine apart.
const HASH_DIGITS: usize = 8;

/// The collection of this name, or else the one that is named after the folder.
pub fn collection(name: Option<&str>, root: &Path) -> Result<String, IndexError> {
    match name {
        Some(name) if is_name(name) => Ok(name.to_owned()),
        Some(name) => Err(IndexError::CollectionName { name: name.to_owned() }),
        None => Ok(default_name(&root.canonicalize().unwrap_or_else(|_| root.to_owned()))),
    }
}

/// Where the manifest of a collection is.
pub fn manifest_file(data_dir: &Path, collection: &str) -> PathBuf {
    data_dir.join("index").join(format!("{collection}.redb"))
}

/// The indexed collection that a folder is in: its own, the one of the nearest folder above it, or the only one there is.
pub fn of_folder(data_dir: &Path, folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut candidates = folder.ancestors().map(default_name);
    candidates
        .find(|name| manifest_file(data_dir, name).exists())
        .or_else(|| {
            let mut all = indexed(data_dir);
            if all.len() == 1 { all.pop() } else { None }
        })
}

/// Every collection that has a manifest, sorted.
pub fn indexed(data_dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(data_dir.join("index")) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        Some(entry.ok()?.file_name().to_str()?.strip_suffix(".redb")?.to_owned())
    };
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort_unstable();
    names
}

fn default_name(canonical: &Path) -> String {
    let folder = canonical
        .file_name()
        .map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned());
    let kept = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let folder: String = folder
        .chars()
        .map(|character| if kept(character) { character } else { '-' })
        .collect();
    let hash = blake3::hash(canonical.as_os_str().as_encoded_bytes()).to_hex();
    let hash: String = hash.chars().take(HASH_DIGITS).collect();
    let room = MAX_NAME - HASH_DIGITS - 1;
    let folder: String = folder.trim_start_matches('.').chars().take(room).collect();
    format!("{folder}-{hash}").trim_start_matches('-').to_owned()
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_collection_is_named_after_it_and_its_whole_path() {
        let name = default_name(Path::new("/home/me/my project"));
        assert!(name.starts_with("my-project-"));
        assert_eq!(name.len(), "my-project-".len() + HASH_DIGITS);
        assert_ne!(name, default_name(Path::new("/home/you/my project")));
        for path in ["/", "/.config", "/ü", &format!("/{}", "x".repeat(300))] {
            assert!(is_name(&default_name(Path::new(path))), "{path}");
        }
    }

    #[test]
    fn a_name_that_could_leave_the_folder_is_refused() {
        for name in ["", "../x", "a/b", ".x", "a b", &"x".repeat(129)] {
            assert!(collection(Some(name), Path::new("/")).is_err(), "{name}");
        }
        assert_eq!(collection(Some("docs-v1.2_a"), Path::new("/")).unwrap(), "docs-v1.2_a");
    }

    #[test]
    fn a_folder_is_in_the_collection_of_the_nearest_folder_above_or_in_the_only_one() {
        let data = tempfile::tempdir().unwrap();
        let project = tempfile::tempdir().unwrap();
        let inner = project.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(data.path().join("index")).unwrap();
        assert_eq!(of_folder(data.path(), &inner), None);

        std::fs::write(manifest_file(data.path(), "other"), "").unwrap();
        assert_eq!(of_folder(data.path(), &inner).as_deref(), Some("other"));
        std::fs::write(manifest_file(data.path(), "third"), "").unwrap();
        assert_eq!(of_folder(data.path(), &inner), None);

        let name = collection(None, project.path()).unwrap();
        std::fs::write(manifest_file(data.path(), &name), "").unwrap();
        assert_eq!(of_folder(data.path(), &inner).as_deref(), Some(name.as_str()));
    }
}
