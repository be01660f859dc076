#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, Option<&str>, Option<&str>, Option<&str>, bool)| {
    let (fixed, proposed, set, allow, trust_manifest) = input;
    weir_runtime::fuzzing::grant(fixed, proposed, set, allow, trust_manifest);
});
