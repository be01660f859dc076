//! The macro that makes a crate an adapter.

/// Generates what the adapter exports, and exports it.
///
/// Takes the adapter's type and its world: a WIT package with one world that includes the worlds of the contract, one
/// a capability. The crate root then has a module for each capability, and `metadata`, with the trait `Guest` to
/// implement and the types of its own. What all capabilities share is [`crate::types`], whoever generated it;
/// `describe` returns [`crate::Manifest`].
///
/// `examples/embedding.rs` is a whole adapter.
///
/// `stateful Example` is an adapter whose world includes `stateful-provider`: it imports storage as well
/// ([`crate::keyvalue`]). The contract is looked for in `../../wit/v0.1.0`, seen from the adapter's crate; a path after
/// the world names another place.
#[macro_export]
macro_rules! provider {
    ($adapter:ident, $world:tt $(,)?) => {
        $crate::provider!($adapter, $world, "../../wit/v0.1.0");
    };
    ($adapter:ident, $world:tt, $wit:tt) => {
        $crate::provider!(@bindings $adapter, $world, $wit, {});
    };
    (stateful $adapter:ident, $world:tt $(,)?) => {
        $crate::provider!(stateful $adapter, $world, "../../wit/v0.1.0");
    };
    (stateful $adapter:ident, $world:tt, $wit:tt) => {
        $crate::provider!(@bindings $adapter, $world, $wit, {
            "wasi:keyvalue/store@0.2.0-draft2": ::weir_guest::keyvalue::store,
            "wasi:keyvalue/batch@0.2.0-draft2": ::weir_guest::keyvalue::batch,
        });
    };
    (@bindings $adapter:ident, $world:tt, $wit:tt, { $($with:tt)* }) => {
        #[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
        mod bindings {
            $crate::wit_bindgen::generate!({
                path: $wit,
                inline: $world,
                with: {
                    "weir:provider/types@0.1.0": ::weir_guest::types,
                    "weir:provider/pooled-http@0.1.0": ::weir_guest::pooled_http,
                    "wasi:config/store@0.2.0-rc.1": ::weir_guest::config,
                    "weir:provider/metadata@0.1.0/manifest": ::weir_guest::manifest::Manifest,
                    "weir:provider/metadata@0.1.0/origin": ::weir_guest::manifest::Origin,
                    "weir:provider/metadata@0.1.0/secret": ::weir_guest::manifest::Secret,
                    "weir:provider/metadata@0.1.0/setting": ::weir_guest::manifest::SettingDescription,
                    "weir:provider/metadata@0.1.0/default-model": ::weir_guest::manifest::DefaultModel,
                    "weir:provider/metadata@0.1.0/operation-limits": ::weir_guest::manifest::OperationLimits,
                    $($with)*
                },
                runtime_path: "::weir_guest::wit_bindgen::rt",
            });

            use super::$adapter;
            // The names of the exports are no names to a native linker.
            #[cfg(target_arch = "wasm32")]
            export!($adapter);
        }
        use bindings::exports::weir::provider::*;
    };
}
