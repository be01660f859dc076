//! From one configuration to the next, without a call that is lost.
//!
//! A configuration is read and checked as a whole, and everything that it makes another is made ready beside what serves.
//! Only then it comes into force, for the requests that come from then on. One that is no good changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::app::{App, Serving};
use super::auth::ApiKeys;
use super::refusal::{Places, Refusal};
use crate::config::settings::Config;
use crate::config::{Changes, Sources, load, watched};
use crate::host::{Host, Look, NextHost};

/// Settings that hold for as long as the server runs: it has the socket, the files and the descriptors that they told.
const FIXED: [&str; 4] = ["cache_dir", "data_dir", "max_sockets", "server.listen"];

/// Keeps a server current with its configuration.
pub struct Reloader {
    app: Arc<App>,
    host: Arc<Host>,
    sources: Sources,
    /// Whether providers are loaded before they are asked for.
    eager: bool,
    /// The files that the configuration names, be it in force or not.
    named: Vec<PathBuf>,
    /// What was last said to need a restart.
    told: Vec<(&'static str, Value)>,
}

impl Reloader {
    pub(super) fn new(app: Arc<App>, host: Arc<Host>, mut sources: Sources, eager: bool) -> Self {
        let config = host.effective_config();
        // The file stays the one it was, whatever appears beside it.
        sources.file = config.file.clone().or(sources.file);
        Self {
            named: watched::named(config),
            app,
            host,
            sources,
            eager,
            told: Vec::new(),
        }
    }

    /// The files to look at again when they change.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = watched::configuration(&self.sources);
        files.extend(watched::named(self.host.effective_config()));
        files.extend(self.named.iter().cloned());
        files
    }

    /// Reads the configuration again and has it come into force if it is another, then looks at the components. What
    /// became of it is logged, counted and, where it was refused, told in `/health`.
    pub async fn look(&mut self, look: Look) {
        match self.next().await {
            Ok(Some((next, keys))) => self.apply(next, keys).await,
            Ok(None) => self.app.reloads.is_current(),
            Err(refusal) => {
                let reason = refusal.to_string();
                // A change of something else nearby does not make it another refusal.
                if look == Look::Again || self.app.reloads.refusal().as_deref() != Some(&*reason) {
                    tracing::error!(reason, "the new configuration is refused; the old one serves on");
                    self.app.reloads.refuse(reason);
                }
            }
        }
        self.host.reload_components(look).await;
    }

    /// What is there now, made ready; none where it is what serves.
    async fn next(&mut self) -> Result<Option<(NextHost, ApiKeys)>, Refusal> {
        let old = self.host.effective_config();
        if let Some(file) = old.file.as_ref().filter(|file| !file.is_file()) {
            return Err(Refusal::Gone(file.clone()));
        }
        let mut config = load(&self.sources)?;
        if let Some(file) = config.file.as_ref().filter(|_| config.is_blank && !old.is_blank) {
            return Err(Refusal::Blank(file.clone()));
        }
        self.named = watched::named(&config);
        let mut changes = Changes::between(&old.config, &config.config);
        changes.settings.retain(|key| !FIXED.contains(&key.as_str()));
        let fixed = fix(&mut config.config, &old.config);
        config.check_server()?;
        let places = Places(config.tree.clone());
        let keys = places.keys(config.api_keys())?;
        if keys != self.app.serving().keys {
            changes.settings.insert("server.api_keys".to_owned());
        }
        let next = self
            .host
            .next(config, changes)
            .await
            .map_err(|error| places.host(&error))?;
        self.tell_fixed(fixed);
        Ok((!next.changes().is_empty()).then_some((next, keys)))
    }

    async fn apply(&mut self, next: NextHost, keys: ApiKeys) {
        let changes = next.changes().to_string();
        let app = self.app.clone();
        self.host = next.host().clone();
        next.take_over(|host| {
            let keys = keys.after(&app.serving().keys);
            app.serve(Serving { backend: host, keys });
            app.reloads.apply();
            tracing::info!(changes, "the new configuration is in force");
        })
        .await;
        if self.eager {
            self.app.lifecycle.load_all(self.app.backend().as_ref()).await;
        }
    }

    /// Says once which settings of the new configuration are not in force.
    fn tell_fixed(&mut self, fixed: Vec<(&'static str, Value)>) {
        if self.told != fixed && !fixed.is_empty() {
            let keys: Vec<&str> = fixed.iter().map(|(key, _)| *key).collect();
            tracing::warn!(
                keys = keys.join(", "),
                "these settings need a restart; everything else of the new configuration is in force"
            );
        }
        self.told = fixed;
    }
}

/// Gives the settings that hold for as long as the server runs the values they have. Returns what was wanted instead.
fn fix(new: &mut Config, old: &Config) -> Vec<(&'static str, Value)> {
    let of = |config: &Config| {
        let values = [
            json!(config.cache_dir),
            json!(config.data_dir),
            json!(config.max_sockets),
            json!(config.server.listen),
        ];
        FIXED.into_iter().zip(values)
    };
    let wanted = of(new).zip(of(old));
    let differing = wanted.filter(|(new, old)| new != old).map(|(new, _)| new).collect();
    new.cache_dir.clone_from(&old.cache_dir);
    new.data_dir.clone_from(&old.data_dir);
    new.max_sockets = old.max_sockets;
    new.server.listen = old.server.listen.clone();
    differing
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::proxy::ProxySetting;
    use crate::config::{Environment, Folders};

    fn sources(folder: &Path) -> Sources {
        Sources {
            file: None,
            environment: [("KEY", "one"), ("WEIR_CACHE_DIR", "cache")]
                .into_iter()
                .collect::<Environment>(),
            folders: Folders {
                working: folder.to_owned(),
                config: None,
                data: folder.join("data"),
                cache: folder.join("cache"),
            },
            flags: Vec::new(),
        }
    }

    /// A folder whose `weir.toml` says this.
    fn written(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, text);
        folder
    }

    fn write(folder: &tempfile::TempDir, text: &str) {
        std::fs::write(folder.path().join("weir.toml"), text).unwrap();
    }

    async fn reloader(folder: &tempfile::TempDir) -> Reloader {
        let sources = sources(folder.path());
        let host = Arc::new(Host::open(load(&sources).unwrap()).await.unwrap());
        let keys = ApiKeys::limited(&host.effective_config().api_keys().unwrap()).unwrap();
        let app = App::new(host.clone(), keys);
        Reloader::new(app, host, sources, false)
    }

    async fn counts(reloader: &mut Reloader, look: Look) -> (u64, u64, Option<String>) {
        reloader.look(look).await;
        let counts = reloader.app.reloads.counts();
        (counts.applied, counts.refused, reloader.app.reloads.refusal())
    }

    #[tokio::test]
    async fn what_is_in_force_already_comes_into_force_once() {
        let folder = written("[providers.local]\n");
        let mut reloader = reloader(&folder).await;
        assert_eq!(counts(&mut reloader, Look::Again).await, (0, 0, None));
        write(&folder, "# a word\n[routes.embeddings]\nbest = [\"local\"]\n");
        assert_eq!(counts(&mut reloader, Look::ForChanges).await, (1, 0, None));
        assert_eq!(counts(&mut reloader, Look::Again).await, (1, 0, None));
        let backend = reloader.app.backend();
        let routes = backend.routes(super::super::backend::RouteTable::Embeddings);
        assert_eq!(routes.keys().collect::<Vec<_>>(), ["best"]);
    }

    #[tokio::test]
    async fn a_refusal_is_one_line_with_its_place_and_is_told_once_unless_asked_again() {
        let folder = written("[providers.local]\n");
        let mut reloader = reloader(&folder).await;
        let bad = [
            ("[server\n", "weir.toml:1:8: "),
            (
                "[server]\nlisten = \"127.0.0.1:x\"\n",
                "weir.toml:2:10: server.listen: expected an address",
            ),
            ("[server]\nlitsen = 1\n", "weir.toml:2:1: unknown key `server.litsen`"),
            (
                "data_dir = \"${NONE}\"\n",
                "weir.toml:1:12: data_dir: the environment variable `NONE`",
            ),
            (
                "[server]\napi_keys = [{ env = \"NONE\" }]\n",
                "weir.toml:2:1: server.api_keys: the environment variable NONE",
            ),
            (
                "[providers.a]\ncomponent = \"local\"\nsecrets.api_key = { env = \"NONE\" }\n",
                "weir.toml:3:9: provider `a`: the secret `api_key` is missing",
            ),
            (
                "[providers.a]\ncomponent = \"./none.wasm\"\n",
                "weir.toml:1:12: provider `a`: can't read the component",
            ),
            ("", "sets nothing"),
        ];
        for (number, (text, reason)) in bad.into_iter().enumerate() {
            write(&folder, text);
            let refused = number as u64 + 1;
            for _ in 0..2 {
                let (applied, times, refusal) = counts(&mut reloader, Look::ForChanges).await;
                let refusal = refusal.unwrap();
                assert!(
                    refusal.contains(reason) && !refusal.contains('\n'),
                    "{refusal:?} for {text:?}"
                );
                assert_eq!((applied, times), (0, refused), "{text:?}");
            }
        }
        assert_eq!(counts(&mut reloader, Look::Again).await.1, bad.len() as u64 + 1);
        std::fs::remove_file(folder.path().join("weir.toml")).unwrap();
        assert!(
            counts(&mut reloader, Look::ForChanges)
                .await
                .2
                .unwrap()
                .contains("is gone")
        );
        write(&folder, "[providers.local]\n");
        assert_eq!(counts(&mut reloader, Look::ForChanges).await.2, None);
    }

    #[tokio::test]
    async fn what_needs_a_restart_is_left_as_it_is_and_the_rest_comes_into_force() {
        let folder = written("[server]\nlisten = \"127.0.0.1:1\"\n[providers.local]\n");
        let mut reloader = reloader(&folder).await;
        let old = reloader.host.config().clone();
        write(
            &folder,
            "data_dir = \"other\"\nmax_sockets = 7\n[server]\nlisten = \"0.0.0.0:2\"\napi_keys = [{ env = \"KEY\" }]\n",
        );
        assert_eq!(counts(&mut reloader, Look::ForChanges).await, (1, 0, None));
        let new = reloader.host.config().clone();
        assert_eq!((&new.data_dir, new.max_sockets), (&old.data_dir, None));
        assert_eq!(new.server.listen, old.server.listen);
        let told: Vec<_> = reloader.told.iter().map(|(key, _)| *key).collect();
        assert_eq!(told, ["data_dir", "max_sockets", "server.listen"]);
        assert_eq!(reloader.app.serving().keys, ApiKeys::new(&["one".into()]).unwrap());
        assert_eq!(counts(&mut reloader, Look::Again).await, (1, 0, None));
    }

    #[tokio::test]
    async fn the_last_key_is_not_given_up_where_others_reach_the_address() {
        let folder = written("[server]\nlisten = \"0.0.0.0:1\"\napi_keys = [{ env = \"KEY\" }]\n");
        let mut reloader = reloader(&folder).await;
        // The socket is bound to the old address, whatever is written now.
        write(&folder, "[server]\nlisten = \"127.0.0.1:1\"\napi_keys = []\n");
        let (applied, _, refusal) = counts(&mut reloader, Look::ForChanges).await;
        assert_eq!(applied, 0);
        assert!(
            refusal.unwrap().contains("without keys only a loopback address"),
            "told"
        );
        assert_eq!(reloader.app.serving().keys, ApiKeys::new(&["one".into()]).unwrap());
    }

    #[tokio::test]
    async fn a_key_in_a_file_is_another_when_the_file_is() {
        let folder = written("[server]\napi_keys = [{ file = \"key\" }]\n");
        let key = folder.path().join("key");
        std::fs::write(&key, "one").unwrap();
        let mut reloader = reloader(&folder).await;
        assert!(reloader.files().contains(&key));
        std::fs::write(&key, "two").unwrap();
        assert_eq!(counts(&mut reloader, Look::ForChanges).await, (1, 0, None));
        assert_eq!(reloader.app.serving().keys, ApiKeys::new(&["two".into()]).unwrap());
    }

    #[tokio::test]
    async fn a_proxys_other_password_holds_though_its_provider_is_not_loaded() {
        let text = |password: &str| {
            format!("[providers.local.http_pool]\nproxy = \"http://ada:{password}@proxy.example:1\"\n")
        };
        let folder = written(&text("one"));
        let mut reloader = reloader(&folder).await;
        write(&folder, &text("two"));
        assert_eq!(counts(&mut reloader, Look::ForChanges).await, (1, 0, None));
        let ProxySetting::Url(url) = &reloader.host.config().providers["local"].http_pool.proxy.0 else {
            panic!("no proxy");
        };
        assert_eq!(url, "http://ada:two@proxy.example:1");
    }

    #[tokio::test]
    async fn a_provider_whose_settings_stay_is_the_same_and_one_that_is_gone_is_not_found() {
        let folder = written("[providers.local]\n[providers.other]\ncomponent = \"local\"\n");
        let mut reloader = reloader(&folder).await;
        let before = reloader.host.clone();
        let local = before.provider("local").await.unwrap();
        let digest = local.digest();

        write(&folder, "[providers.local]\n[providers.third]\ncomponent = \"local\"\n");
        assert_eq!(counts(&mut reloader, Look::ForChanges).await.0, 1);
        let after = reloader.host.clone();
        assert_eq!(after.loaded().len(), 1, "the one that was loaded still is");
        let same = after.provider("local").await.unwrap();
        assert_eq!(
            (same.digest(), same.stats().instances),
            (digest, local.stats().instances)
        );
        assert!(after.provider("third").await.is_ok());
        assert!(after.provider("other").await.is_err());
        let began = before.provider("other").await;
        assert!(began.is_ok(), "who began by the old configuration is served by it");
        assert!(after.provider("other").await.is_err());
    }
}
