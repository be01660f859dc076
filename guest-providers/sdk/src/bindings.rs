//! The shared part of the contract in Rust: the types every capability uses, and what the host lends.
//!
//! Generated once, here, so that an error or a request is the same type in the SDK and in every adapter. What an
//! adapter exports is generated in the adapter ([`crate::provider!`]), mapped onto these.
#![allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../../wit/v0.1.0",
    inline: "
        package weir:guest;

        world sdk {
            import weir:provider/types@0.1.0;
            import weir:provider/pooled-http@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:keyvalue/store@0.2.0-draft2;
            import wasi:keyvalue/batch@0.2.0-draft2;
        }
    ",
    generate_all,
    generate_unused_types: true,
});
