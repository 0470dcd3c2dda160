#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| issuecommand_fuzz::component(data));
