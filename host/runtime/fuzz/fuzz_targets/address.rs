#![no_main]

libfuzzer_sys::fuzz_target!(|input: ([u8; 4], [u8; 16], u8)| {
    let (v4, v6, prefix) = input;
    weir_runtime::fuzzing::address(v4, v6, prefix);
});
