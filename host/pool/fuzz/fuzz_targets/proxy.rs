#![no_main]

libfuzzer_sys::fuzz_target!(|texts: (&str, &str, &str)| weir_pool::fuzzing::proxy(texts.0, texts.1, texts.2));
