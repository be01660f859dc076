//! What a manifest keeps, and what it refuses.

use super::*;

fn id(n: u8) -> ChunkId {
    ChunkId::from_bytes([n; ID_BYTES])
}

fn indexed(path: &str, hash: u8, points: &[u8]) -> IndexedFile {
    IndexedFile {
        path: path.into(),
        hash: [hash; HASH_BYTES],
        points: points.iter().copied().map(id).collect(),
    }
}

fn description() -> Description {
    Description {
        root: "/a".into(),
        store: "memory".into(),
        embedding: Model {
            provider: "local".into(),
            model: "static".into(),
        },
        configured_model: None,
        dimensions: 256,
        sparse: None,
    }
}

#[test]
fn what_was_noted_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index/c.redb");
    let manifest = Manifest::open(&file).unwrap();
    assert_eq!(manifest.description().unwrap(), None);
    manifest.describe(&description()).unwrap();
    manifest
        .begin([("a", [id(1), id(2)].as_slice()), ("b", &[id(3)])])
        .unwrap();
    manifest.note([], &[indexed("a", 7, &[1, 2])], &[]).unwrap();
    drop(manifest);

    assert_eq!(Manifest::peek(&file).unwrap(), Some(description()));
    let manifest = Manifest::open(&file).unwrap();
    let a = FileState {
        indexed: Some([7; HASH_BYTES]),
        points: vec![id(1), id(2)],
        pending: None,
    };
    assert_eq!(manifest.file("a").unwrap(), a);
    let b = FileState {
        indexed: None,
        points: vec![],
        pending: Some(vec![id(3)]),
    };
    assert_eq!(manifest.file("b").unwrap(), b);
    assert_eq!(manifest.file("c").unwrap(), FileState::default());
    assert_eq!(
        manifest.paths(|_| true).unwrap(),
        BTreeSet::from(["a".to_owned(), "b".to_owned()])
    );
}

#[test]
fn pending_points_of_several_tries_add_up_until_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest::open(&folder.path().join("c.redb")).unwrap();
    manifest.begin([("a", [id(1), id(2)].as_slice())]).unwrap();
    manifest.begin([("a", [id(2), id(3)].as_slice())]).unwrap();
    assert_eq!(manifest.file("a").unwrap().pending, Some(vec![id(1), id(2), id(3)]));
    manifest.note([], &[indexed("a", 1, &[2, 3])], &[]).unwrap();
    assert_eq!(manifest.file("a").unwrap().pending, None);
    manifest.note([], &[], &["a".into()]).unwrap();
    assert_eq!(manifest.paths(|_| true).unwrap().len(), 0);
}

#[test]
fn a_file_without_points_can_be_pending_and_finished() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest::open(&folder.path().join("c.redb")).unwrap();
    manifest.note([], &[indexed("empty", 1, &[])], &[]).unwrap();
    assert!(manifest.file("empty").unwrap().is_indexed(&[1; HASH_BYTES]));
    manifest.begin([("empty", [].as_slice())]).unwrap();
    assert!(!manifest.file("empty").unwrap().is_indexed(&[1; HASH_BYTES]));
}

#[test]
fn an_unknown_format_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.redb");
    let manifest = Manifest::open(&file).unwrap();
    manifest
        .write(|transaction| {
            transaction.open_table(META)?.insert("format", "2")?;
            Ok(())
        })
        .unwrap();
    drop(manifest);
    let before = fs::read(&file).unwrap();

    let error = Manifest::open(&file).unwrap_err();
    assert!(
        matches!(&error, ManifestError::UnknownFormat { found, .. } if found == "2"),
        "{error}"
    );
    assert!(matches!(
        Manifest::peek(&file),
        Err(ManifestError::UnknownFormat { .. })
    ));
    assert_eq!(fs::read(&file).unwrap().len(), before.len());
}

#[test]
fn a_file_that_is_no_manifest_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.redb");
    fs::write(&file, "my notes ".repeat(100)).unwrap();
    let error = Manifest::open(&file).unwrap_err();
    assert!(matches!(error, ManifestError::Damaged { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "my notes ".repeat(100));
}

#[test]
fn two_runs_at_once_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.redb");
    let first = Manifest::open(&file).unwrap();
    let error = Manifest::open(&file).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the collection is being indexed by a run of `weir index`"),
        "{error}"
    );
    assert!(matches!(Manifest::peek(&file), Err(ManifestError::InUse { .. })));
    drop(first);
    Manifest::open(&file).unwrap();
}

#[test]
fn a_cleared_manifest_is_as_new() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest::open(&folder.path().join("c.redb")).unwrap();
    manifest.describe(&description()).unwrap();
    manifest.begin([("a", [id(1)].as_slice())]).unwrap();
    manifest.begin_drop().unwrap();
    assert!(manifest.is_dropping().unwrap());
    manifest.clear().unwrap();
    assert!(!manifest.is_dropping().unwrap());
    assert_eq!(manifest.description().unwrap(), None);
    assert_eq!(manifest.paths(|_| true).unwrap().len(), 0);
}
