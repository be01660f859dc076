#![no_main]

libfuzzer_sys::fuzz_target!(|headers: Vec<(u8, &[u8])>| weir_pool::fuzzing::patience(&headers));
