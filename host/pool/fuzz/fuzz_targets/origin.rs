#![no_main]

libfuzzer_sys::fuzz_target!(|uri: &str| weir_pool::fuzzing::origin(uri));
