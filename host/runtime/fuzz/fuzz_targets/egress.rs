#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (granted, url) = input;
    weir_runtime::fuzzing::egress(granted, url);
});
