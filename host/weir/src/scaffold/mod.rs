//! A new adapter's crate: what `weir new` writes.
//!
//! The crate stands alone. The SDK and the contract are on no registry, so the program carries them and writes them into
//! the crate: it builds with nothing but crates.io. Templates are in `host/weir/scaffold`.

mod part;
mod sdk;

use std::path::{Path, PathBuf};
use std::{fs, io};

use weir_runtime::Capability;

mod table {
    include!(concat!(env!("OUT_DIR"), "/scaffold.rs"));
}

/// Why no crate was written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is none that a crate, a component and a provider can all have.
    #[error(
        "`{0}` can't be an adapter's name: it takes lower-case letters, digits and `-`, begins with a letter, and is not the SDK's, \
         `weir-guest`"
    )]
    Name(String),
    /// There is something already.
    #[error("{} is there already; name another folder with --path", .0.display())]
    Exists(PathBuf),
    /// The SDK inside the program is none.
    #[error("the SDK that this program carries can't be read: {0}")]
    Sdk(String),
    /// A file could not be written.
    #[error("can't write {}: {source}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A crate that is yet to be written.
#[derive(Debug)]
pub struct Scaffold {
    name: String,
    capabilities: Vec<Capability>,
}

/// The crate that a new adapter depends on: no package may have the name of another it depends on.
const SDK: &str = "weir-guest";

impl Scaffold {
    /// An adapter of this name with these capabilities, each of them once.
    ///
    /// # Errors
    /// If it can't have that name.
    pub fn new(name: &str, capabilities: &[Capability]) -> Result<Scaffold, ScaffoldError> {
        let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.ends_with('-')
            && name != SDK
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_name {
            return Err(ScaffoldError::Name(name.to_owned()));
        }
        let mut capabilities = capabilities.to_vec();
        capabilities.sort_by_key(|capability| capability.as_str());
        capabilities.dedup();
        Ok(Scaffold {
            name: name.to_owned(),
            capabilities,
        })
    }

    /// The built component, seen from the crate's folder.
    pub fn component(&self) -> String {
        format!("target/wasm32-wasip2/release/{}.wasm", self.crate_name())
    }

    /// Every file, by its path in the crate's folder.
    ///
    /// # Errors
    /// If the program was built with an SDK that is none.
    pub fn files(&self) -> Result<Vec<(String, String)>, ScaffoldError> {
        let manifest = sdk::manifest().map_err(ScaffoldError::Sdk)?;
        let templates = table::TEMPLATES.iter().filter(|(path, _)| self.wants(path));
        let copies = table::COPIES.iter().map(|(path, text)| match *path {
            sdk::MANIFEST => (*path, manifest.as_str()),
            _ => (*path, *text),
        });
        let mut files: Vec<(String, String)> = templates
            .map(|(path, text)| (path.replace("gitignore", ".gitignore"), self.fill(text)))
            .chain(copies.map(|(path, text)| (path.to_owned(), text.to_owned())))
            .collect();
        files.sort();
        Ok(files)
    }

    /// Writes the crate into a folder that is not there yet.
    ///
    /// # Errors
    /// If it is, or a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), ScaffoldError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ScaffoldError::Write { path, source }
        };
        if folder.exists() {
            return Err(ScaffoldError::Exists(folder.to_owned()));
        }
        for (path, text) in self.files()? {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed(parent))?;
            }
            fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Whether a template belongs to this crate: the source of a capability only where that is asked for.
    fn wants(&self, template: &str) -> bool {
        let module = template
            .strip_prefix("src/")
            .and_then(|file| file.strip_suffix(".rs"))
            .filter(|module| *module != "lib");
        module.is_none_or(|module| {
            self.capabilities
                .iter()
                .any(|capability| part::of(*capability).module == module)
        })
    }

    fn fill(&self, template: &str) -> String {
        let parts = || self.capabilities.iter().map(|capability| part::of(*capability));
        let lines = |lines: Vec<String>| lines.join("\n");
        let mut modules: Vec<String> = parts().map(|part| format!("mod {};", part.module)).collect();
        modules.sort();
        let worlds = self
            .capabilities
            .iter()
            .map(|capability| format!("        include weir:provider/{}-provider@0.1.0;", capability.as_str()));
        let manifest = parts()
            .flat_map(|part| part.manifest)
            .map(|line| format!("            {line}"));
        let mut title = self.name.clone();
        title.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
        let first = parts().next();
        [
            ("{{modules}}", lines(modules)),
            ("{{worlds}}", lines(worlds.collect())),
            // The line goes with its break where there is nothing to say.
            ("{{manifest}}\n", manifest.map(|line| line + "\n").collect()),
            ("{{title}}", title),
            ("{{name}}", self.name.clone()),
            ("{{crate}}", self.crate_name()),
            ("{{rust}}", env!("CARGO_PKG_RUST_VERSION").to_owned()),
            (
                "{{VARIABLE}}",
                format!("{}_API_KEY", self.crate_name().to_ascii_uppercase()),
            ),
            ("{{operation}}", first.map_or("", |part| part.operation).to_owned()),
            ("{{input}}", first.map_or("", |part| part.input).to_owned()),
        ]
        .into_iter()
        .fold(template.to_owned(), |text, (place, value)| text.replace(place, &value))
    }

    fn crate_name(&self) -> String {
        self.name.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(scaffold: &Scaffold, path: &str) -> Option<String> {
        scaffold
            .files()
            .unwrap()
            .into_iter()
            .find_map(|(found, text)| (found == path).then_some(text))
    }

    #[test]
    fn a_crate_has_what_its_capabilities_need_and_no_more() {
        let scaffold = Scaffold::new("acme-ai", &[Capability::Reranking, Capability::Embedding]).unwrap();
        let root = file(&scaffold, "src/lib.rs").unwrap();
        assert!(root.contains("mod embed;\nmod rerank;\n"), "{root}");
        assert!(
            root.contains("include weir:provider/reranking-provider@0.1.0;"),
            "{root}"
        );
        assert!(file(&scaffold, "src/embed.rs").is_some());
        assert!(file(&scaffold, "src/search.rs").is_none());
        assert!(file(&scaffold, ".gitignore").is_some());
        assert_eq!(scaffold.component(), "target/wasm32-wasip2/release/acme_ai.wasm");
        assert!(
            file(&scaffold, "README.md")
                .unwrap()
                .contains("ACME_AI_API_KEY=… weir call acme-ai embed")
        );
    }

    #[test]
    fn every_place_in_the_templates_is_filled() {
        let scaffold = Scaffold::new("acme", &Capability::ALL).unwrap();
        for (path, text) in scaffold.files().unwrap() {
            let is_copy = path.starts_with("vendor/") || path.starts_with("wit/");
            assert!(is_copy || !text.contains("{{"), "{path}: {text}");
        }
        assert_eq!(
            scaffold
                .files()
                .unwrap()
                .iter()
                .filter(|(path, _)| path.starts_with("src/"))
                .count(),
            Capability::ALL.len() + 1
        );
    }

    #[test]
    fn a_component_is_built_as_the_bundled_ones_are() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let new = table(&file(&Scaffold::new("acme", &[Capability::Embedding]).unwrap(), "Cargo.toml").unwrap());
        let here = table(include_str!("../../../../guest-providers/Cargo.toml"));
        for (key, value) in here["profile"]["release"].as_table().unwrap() {
            assert!(key == "package" || new["profile"]["release"][key] == *value, "{key}");
        }
        assert_eq!(new["package"]["edition"], here["workspace"]["package"]["edition"]);
        assert_eq!(
            new["package"]["rust-version"],
            here["workspace"]["package"]["rust-version"]
        );
    }

    #[test]
    fn a_name_that_no_crate_can_have_is_refused() {
        for name in ["", "Acme", "9lives", "a_b", "a/b", "..", "acme-", "weir-guest"] {
            assert!(
                matches!(Scaffold::new(name, &[]), Err(ScaffoldError::Name(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let scaffold = Scaffold::new("acme", &[Capability::Embedding]).unwrap();
        assert!(matches!(scaffold.write(folder.path()), Err(ScaffoldError::Exists(_))));
        scaffold.write(&folder.path().join("acme")).unwrap();
        assert!(folder.path().join("acme/vendor/weir-guest/src/lib.rs").exists());
    }
}
