//! What a component exports, imports and may not have, read from its bytes without running it.

use wasmparser::{Encoding, Parser, Payload};

use crate::bindings::v0_1_0::VERSION;
use crate::capability::Capability;
use crate::component::digest;

/// How imports of WASI beyond the closed set are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WasiMode {
    /// Refused.
    #[default]
    Closed,
    /// Linked to a trap each, for languages whose runtimes import more than they use.
    Stub,
}

/// What a component may import of WASI beyond the closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WasiGrant {
    /// How imports that are not lent are met.
    pub mode: WasiMode,
    /// Whether it may send its requests through `wasi:http`, which leads to its pool by the same checks.
    pub http: bool,
}

impl From<WasiMode> for WasiGrant {
    /// Without `wasi:http`.
    fn from(mode: WasiMode) -> Self {
        WasiGrant { mode, http: false }
    }
}

/// What a look at a component's bytes shows.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The component's identity: the BLAKE3 hash of its bytes.
    pub digest: String,
    /// Names of the exports.
    pub exports: Vec<String>,
    /// Names of the imports.
    pub imports: Vec<String>,
    /// The exports that this host knows to call.
    pub capabilities: Vec<Capability>,
    /// Whether a pool serves it: it imports `pooled-http`, or uses the second door.
    pub uses_pooled_http: bool,
    /// Whether it may send through `wasi:http` and imports it (`allow_wasi_http`).
    pub uses_wasi_http: bool,
    /// Imports that are linked to a trap each (`wasi = "stub"`).
    pub stubbed: Vec<String>,
    /// Why it is not admitted; empty if it is.
    pub reasons: Vec<String>,
}

impl Inspection {
    /// Whether this host would load it.
    pub fn admitted(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// WASI interfaces (0.2) that are linked with nothing behind them: what `component::linker` adds.
const CLOSED_WASI: [&str; 18] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:cli/exit",
    "wasi:cli/environment",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
];

/// The same of WASI 0.3, for a component that comes through the second door in that version.
const CLOSED_WASI_0_3: [&str; 17] = [
    "wasi:clocks/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:cli/types",
    "wasi:cli/exit",
    "wasi:cli/environment",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
];

/// Bytes of the largest component that is compiled: three times a Python interpreter.
const MAX_COMPONENT_BYTES: usize = 64 << 20;

/// Interfaces that are lent: exact names.
const LENT: [&str; 3] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
];

/// The second door, in either version of WASI.
const WASI_HTTP_0_2: [&str; 2] = ["wasi:http/types", "wasi:http/outgoing-handler"];
const WASI_HTTP_0_3: [&str; 2] = ["wasi:http/types", "wasi:http/client"];

/// Reads a component. Never fails: what is wrong is among the reasons.
pub fn inspect(bytes: &[u8], wasi: impl Into<WasiGrant>) -> Inspection {
    let wasi = wasi.into();
    let mut inspection = Inspection {
        digest: digest(bytes),
        exports: Vec::new(),
        imports: Vec::new(),
        capabilities: Vec::new(),
        uses_pooled_http: false,
        uses_wasi_http: false,
        stubbed: Vec::new(),
        reasons: Vec::new(),
    };
    if bytes.len() > MAX_COMPONENT_BYTES {
        let size = bytes.len();
        inspection
            .reasons
            .push(format!("it has {size} bytes, more than {MAX_COMPONENT_BYTES}"));
        return inspection;
    }
    if let Err(reason) = read_names(bytes, &mut inspection.imports, &mut inspection.exports) {
        inspection.reasons.push(reason);
        return inspection;
    }
    inspection.uses_pooled_http = inspection.imports.iter().any(|name| is_ours(name, "pooled-http"));
    for name in &inspection.imports {
        match judge_import(name, wasi) {
            Judgement::Admitted => {}
            Judgement::SecondDoor => inspection.uses_wasi_http = true,
            Judgement::Stubbed => inspection.stubbed.push(name.clone()),
            Judgement::Refused(reason) => inspection.reasons.push(reason),
        }
    }
    inspection.uses_pooled_http |= inspection.uses_wasi_http;
    let mut described = false;
    for name in &inspection.exports {
        let Some((interface, version)) = weir_interface(name) else {
            continue;
        };
        if version != VERSION {
            inspection.reasons.push(other_version("exports", name));
        } else if interface == "metadata" {
            described = true;
        } else if let Some(capability) = Capability::of_interface(interface) {
            inspection.capabilities.push(capability);
        }
    }
    inspection.capabilities.sort();
    if inspection.reasons.is_empty() {
        if !described {
            inspection.reasons.push(format!(
                "it does not export `weir:provider/metadata@{VERSION}`, which every adapter has; build it against the \
                 world `weir:provider/provider@{VERSION}`"
            ));
        } else if inspection.capabilities.is_empty() {
            inspection.reasons.push(format!(
                "it exports none of the capabilities of `weir:provider@{VERSION}` (embedding, reranking, vector-store, …)"
            ));
        }
    }
    inspection
}

enum Judgement {
    Admitted,
    SecondDoor,
    Stubbed,
    Refused(String),
}

fn judge_import(name: &str, wasi: WasiGrant) -> Judgement {
    if let Some((interface, version)) = weir_interface(name) {
        return if version != VERSION {
            Judgement::Refused(other_version("imports", name))
        } else if matches!(interface, "types" | "pooled-http") {
            Judgement::Admitted
        } else {
            Judgement::Refused(format!("it imports `{name}`, which this host does not lend"))
        };
    }
    let is_among = |version: &str, interfaces: &[&str]| {
        name.split_once(version)
            .is_some_and(|(interface, _)| interfaces.contains(&interface))
    };
    if is_among("@0.2.", &CLOSED_WASI) || LENT.contains(&name) {
        return Judgement::Admitted;
    }
    let second_door = is_among("@0.2.", &WASI_HTTP_0_2) || is_among("@0.3.", &WASI_HTTP_0_3);
    if second_door && wasi.http {
        return Judgement::SecondDoor;
    }
    if is_among("@0.3.", &CLOSED_WASI_0_3) && wasi.http {
        return Judgement::Admitted;
    }
    if name.starts_with("wasi:") {
        return match wasi.mode {
            WasiMode::Stub => Judgement::Stubbed,
            WasiMode::Closed if second_door => Judgement::Refused(format!(
                "it imports `{name}`; if it may send its requests that way, through its pool and to the origins it is \
                 granted, set `allow_wasi_http = true`"
            )),
            WasiMode::Closed if name.starts_with("wasi:http/") => Judgement::Refused(format!(
                "it imports `{name}`; of `wasi:http` this host serves `types`, with `outgoing-handler` (0.2) or \
                 `client` (0.3), where `allow_wasi_http = true` is set"
            )),
            WasiMode::Closed => Judgement::Refused(format!(
                "it imports `{name}`, which no adapter is given; HTTP is to be had through \
                 `weir:provider/pooled-http@{VERSION}`. If its language's runtime imports it without using it, set \
                 `wasi = \"stub\"`"
            )),
        };
    }
    Judgement::Refused(format!("it imports `{name}`, which this host does not know"))
}

/// Interface and version of a name like `weir:provider/embedding@0.1.0`.
fn weir_interface(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix("weir:provider/")?;
    Some(rest.split_once('@').unwrap_or((rest, "none")))
}

fn is_ours(name: &str, interface: &str) -> bool {
    weir_interface(name) == Some((interface, VERSION))
}

fn other_version(verb: &str, name: &str) -> String {
    format!("it {verb} `{name}`, but this host serves `weir:provider@{VERSION}`; build it against that version")
}

/// Collects the names at the component's outermost level.
fn read_names(bytes: &[u8], imports: &mut Vec<String>, exports: &mut Vec<String>) -> Result<(), String> {
    let no_component = |error: &str| {
        // What follows the dash are the bytes expected and found, over several lines.
        format!(
            "the file is no WebAssembly component: {}",
            error.split(" - ").next().unwrap_or_default()
        )
    };
    let mut depth = 0_usize;
    let mut versioned = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| no_component(error.message()))? {
            Payload::Version { encoding, .. } => {
                if encoding == Encoding::Module && !versioned {
                    return Err(
                        "the file is a core WebAssembly module, not a component; build it for the target \
                                wasm32-wasip2"
                            .to_owned(),
                    );
                }
                versioned = true;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(
                        import
                            .map_err(|error| no_component(error.message()))?
                            .name
                            .name
                            .to_owned(),
                    );
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(
                        export
                            .map_err(|error| no_component(error.message()))?
                            .name
                            .name
                            .to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
    if versioned {
        Ok(())
    } else {
        Err(no_component("it is empty"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(text: &str, wasi: impl Into<WasiGrant>) -> Inspection {
        inspect(&wat::parse_str(text).unwrap(), wasi)
    }

    #[test]
    fn sockets_http_and_files_are_refused_by_name() {
        for name in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:filesystem/types@0.2.6",
        ] {
            let seen = inspected(&format!("(component (import \"{name}\" (instance)))"), WasiMode::Closed);
            assert!(!seen.admitted());
            assert!(seen.reasons[0].contains(name), "{:?}", seen.reasons);
        }
    }

    #[test]
    fn a_stub_is_named_and_lets_the_rest_be_judged() {
        let seen = inspected(
            "(component (import \"wasi:sockets/tcp@0.2.6\" (instance)))",
            WasiMode::Stub,
        );
        assert_eq!(seen.stubbed, ["wasi:sockets/tcp@0.2.6"]);
        assert!(seen.reasons[0].contains("metadata"));
    }

    #[test]
    fn wasi_http_is_admitted_where_it_is_allowed_and_named_where_it_is_not() {
        let text = "(component (import \"wasi:http/outgoing-handler@0.2.3\" (instance)))";
        let refused = inspected(text, WasiMode::Closed);
        assert!(refused.reasons[0].contains("`allow_wasi_http = true`") && !refused.uses_pooled_http);
        let allowed = WasiGrant {
            mode: WasiMode::Closed,
            http: true,
        };
        let seen = inspected(text, allowed);
        assert!(seen.uses_wasi_http && seen.uses_pooled_http);
        assert!(seen.reasons[0].contains("metadata"), "{:?}", seen.reasons);
        for other in [
            "wasi:http/incoming-handler@0.2.3",
            "wasi:http/client@0.2.3",
            "wasi:http/outgoing-handler@0.3.0",
            "wasi:http/client@0.4.0",
            "wasi:sockets/tcp@0.2.3",
            "wasi:sockets/types@0.3.0",
            "wasi:filesystem/types@0.3.0",
        ] {
            let seen = inspected(&format!("(component (import \"{other}\" (instance)))"), allowed);
            assert!(
                seen.reasons[0].contains(other) && !seen.uses_wasi_http,
                "{:?}",
                seen.reasons
            );
        }
    }

    #[test]
    fn wasi_0_3_is_there_for_the_second_door_alone() {
        let text = "(component
            (import \"wasi:http/client@0.3.0\" (instance))
            (import \"wasi:clocks/monotonic-clock@0.3.2\" (instance)))";
        let refused = inspected(text, WasiMode::Closed);
        assert_eq!(refused.reasons.len(), 2, "{:?}", refused.reasons);
        assert!(refused.reasons[0].contains("`allow_wasi_http = true`"));
        let seen = inspected(
            text,
            WasiGrant {
                mode: WasiMode::Closed,
                http: true,
            },
        );
        assert!(seen.uses_wasi_http && seen.stubbed.is_empty());
        assert!(seen.reasons[0].contains("metadata"), "{:?}", seen.reasons);
    }

    #[test]
    fn stubs_do_not_open_the_second_door() {
        let name = "wasi:http/outgoing-handler@0.2.3";
        let seen = inspected(&format!("(component (import \"{name}\" (instance)))"), WasiMode::Stub);
        assert_eq!(seen.stubbed, [name]);
        assert!(!seen.uses_wasi_http);
    }

    #[test]
    fn another_version_of_the_contract_is_refused_with_both_named() {
        let seen = inspected(
            "(component (import \"weir:provider/types@0.9.0\" (instance)))",
            WasiMode::Closed,
        );
        assert!(
            seen.reasons[0].contains("0.9.0") && seen.reasons[0].contains(VERSION),
            "{:?}",
            seen.reasons
        );
    }

    #[test]
    fn the_closed_part_of_wasi_is_admitted() {
        let seen = inspected(
            "(component (import \"wasi:cli/environment@0.2.6\" (instance)))",
            WasiMode::Closed,
        );
        assert_eq!(seen.reasons.len(), 1, "{:?}", seen.reasons);
        assert!(seen.reasons[0].contains("metadata"));
    }

    #[test]
    fn names_inside_nested_components_do_not_count() {
        let text = "(component (component (import \"wasi:sockets/tcp@0.2.6\" (instance))))";
        assert!(inspected(text, WasiMode::Closed).imports.is_empty());
    }

    #[test]
    fn more_bytes_than_a_component_may_have_are_not_read() {
        let seen = inspect(&vec![0; MAX_COMPONENT_BYTES + 1], WasiMode::Closed);
        assert_eq!(seen.reasons.len(), 1, "{:?}", seen.reasons);
        assert!(
            seen.reasons[0].contains(&MAX_COMPONENT_BYTES.to_string()),
            "{:?}",
            seen.reasons
        );
    }

    #[test]
    fn bytes_that_are_no_component_say_so() {
        assert!(inspect(b"hello", WasiMode::Closed).reasons[0].contains("no WebAssembly component"));
        assert!(inspect(b"", WasiMode::Closed).reasons[0].contains("no WebAssembly component"));
        assert!(inspected("(module)", WasiMode::Closed).reasons[0].contains("core WebAssembly module"));
    }
}
