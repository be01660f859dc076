#![no_main]

libfuzzer_sys::fuzz_target!(|values: (&[u8], &[u8])| weir_pool::fuzzing::keep_alive(values.0, values.1));
