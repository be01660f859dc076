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
    /// Whether it imports `pooled-http`: whether a pool serves it.
    pub uses_pooled_http: bool,
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

/// Bytes of the largest component that is compiled: three times a Python interpreter.
const MAX_COMPONENT_BYTES: usize = 64 << 20;

/// Interfaces that are lent: exact names.
const LENT: [&str; 3] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
];

/// Reads a component. Never fails: what is wrong is among the reasons.
pub fn inspect(bytes: &[u8], wasi: WasiMode) -> Inspection {
    let mut inspection = Inspection {
        digest: digest(bytes),
        exports: Vec::new(),
        imports: Vec::new(),
        capabilities: Vec::new(),
        uses_pooled_http: false,
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
            Judgement::Stubbed => inspection.stubbed.push(name.clone()),
            Judgement::Refused(reason) => inspection.reasons.push(reason),
        }
    }
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
    Stubbed,
    Refused(String),
}

fn judge_import(name: &str, wasi: WasiMode) -> Judgement {
    if let Some((interface, version)) = weir_interface(name) {
        return if version != VERSION {
            Judgement::Refused(other_version("imports", name))
        } else if matches!(interface, "types" | "pooled-http") {
            Judgement::Admitted
        } else {
            Judgement::Refused(format!("it imports `{name}`, which this host does not lend"))
        };
    }
    let closed = name
        .split_once("@0.2.")
        .is_some_and(|(interface, _)| CLOSED_WASI.contains(&interface));
    if closed || LENT.contains(&name) {
        return Judgement::Admitted;
    }
    if name.starts_with("wasi:") {
        return match wasi {
            WasiMode::Stub => Judgement::Stubbed,
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

    fn inspected(text: &str, wasi: WasiMode) -> Inspection {
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
