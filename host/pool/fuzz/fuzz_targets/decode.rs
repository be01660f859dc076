#![no_main]

libfuzzer_sys::fuzz_target!(|body: (bool, u8, &[u8])| weir_pool::fuzzing::decode(body.0, body.1, body.2));
