//! A trap in the place of each import that is named and not lent (`wasi = "stub"`).
//!
//! Wasmtime's own `define_unknown_imports_as_traps` defines every interface under the version a component names, and
//! that hides those which are linked under another version of WASI 0.2. A component would find traps where the closed
//! WASI is meant to be.

use wasmtime::bail;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};

/// Defines what is in `names`, of what the component imports, as traps.
///
/// # Errors
/// If one of them is no interface, function or resource.
pub(crate) fn define<T: Send + 'static>(
    linker: &mut Linker<T>,
    component: &Component,
    names: &[String],
) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    let mut known = Vec::new();
    for (name, import) in component.component_type().imports(&engine) {
        let stubbed = names.iter().any(|stubbed| stubbed == name);
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            if stubbed {
                item(&mut linker.root(), name, name, import.ty, &mut known)?;
            }
            continue;
        };
        for (export, exported) in instance.exports(&engine) {
            if stubbed {
                let place = format!("{name}#{export}");
                item(&mut linker.instance(name)?, export, &place, exported.ty, &mut known)?;
            } else if let ComponentItem::Resource(resource) = exported.ty {
                known.push(resource);
            }
        }
    }
    Ok(())
}

/// `known` has the resources that came before: an interface that uses one of them names it again, and needs no other.
fn item<T: Send + 'static>(
    instance: &mut LinkerInstance<T>,
    name: &str,
    place: &str,
    item: ComponentItem,
    known: &mut Vec<ResourceType>,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::ComponentFunc(function) => {
            let place = place.to_owned();
            let message = move || format!("`{place}` was called, which is linked to a trap (`wasi = \"stub\"`)");
            if function.async_() {
                return instance.func_new_concurrent(name, move |_, _, _, _| {
                    let message = message();
                    Box::pin(async move { bail!("{message}") })
                });
            }
            instance.func_new(name, move |_, _, _, _| bail!("{}", message()))
        }
        ComponentItem::Resource(resource) => {
            if !known.contains(&resource) {
                known.push(resource);
                instance.resource(name, ResourceType::host::<()>(), |_, _| Ok(()))?;
            }
            Ok(())
        }
        ComponentItem::Type(_) => Ok(()),
        _ => bail!("`{place}` can't be linked to a trap"),
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Store};

    use super::*;

    /// Passes on one function of each interface it imports, all of 0.2.4; two of them share a resource.
    const GUEST: &str = r#"(component
        (import "wasi:clocks/clock@0.2.4" (instance $clock (export "now" (func (result u32)))))
        (import "wasi:sockets/tcp@0.2.4" (instance $tcp
            (export "socket" (type $socket (sub resource)))
            (export "connect" (func (result u32)))))
        (alias export $tcp "socket" (type $socket))
        (import "wasi:sockets/lookup@0.2.4" (instance $lookup
            (export "socket" (type (eq $socket)))
            (export "resolve" (func (result u32)))))
        (core func $now (canon lower (func $clock "now")))
        (core func $connect (canon lower (func $tcp "connect")))
        (core func $resolve (canon lower (func $lookup "resolve")))
        (core module $pass
            (import "" "now" (func $now (result i32)))
            (import "" "connect" (func $connect (result i32)))
            (import "" "resolve" (func $resolve (result i32)))
            (func (export "now") (result i32) call $now)
            (func (export "connect") (result i32) call $connect)
            (func (export "resolve") (result i32) call $resolve))
        (core instance $passed (instantiate $pass (with "" (instance
            (export "now" (func $now)) (export "connect" (func $connect)) (export "resolve" (func $resolve))))))
        (func (export "now") (result u32) (canon lift (core func $passed "now")))
        (func (export "connect") (result u32) (canon lift (core func $passed "connect")))
        (func (export "resolve") (result u32) (canon lift (core func $passed "resolve")))
    )"#;

    #[test]
    fn what_is_lent_under_another_version_is_no_trap() {
        let engine = Engine::default();
        let component = Component::new(&engine, wat::parse_str(GUEST).unwrap()).unwrap();
        let mut linker = Linker::new(&engine);
        let mut clock = linker.instance("wasi:clocks/clock@0.2.9").unwrap();
        clock.func_wrap("now", |_, (): ()| Ok((7_u32,))).unwrap();
        let stubbed = ["wasi:sockets/tcp@0.2.4", "wasi:sockets/lookup@0.2.4"].map(str::to_owned);
        define(&mut linker, &component, &stubbed).unwrap();

        let call = |name: &str| {
            let mut store = Store::new(&engine, ());
            let instance = linker.instantiate(&mut store, &component).unwrap();
            let function = instance.get_typed_func::<(), (u32,)>(&mut store, name).unwrap();
            function.call(&mut store, ()).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(call("now"), Ok((7,)));
        for (function, place) in [("connect", "tcp@0.2.4#connect"), ("resolve", "lookup@0.2.4#resolve")] {
            let trapped = call(function).unwrap_err();
            assert!(trapped.contains(place), "{trapped}");
        }
    }
}
