//! What a deserialiser expects, in words for people who write configuration, not Rust.

/// Turns `invalid type: string "x", expected u16` into `expected a whole number from 0 to 65535, found
/// string "x"`. Other messages stay as they are.
pub(super) fn expectation(message: &str) -> String {
    let found = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match found.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("expected {}, found {}", words(expected), found.replace('`', "")),
        None => message.to_owned(),
    }
}

fn words(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "a string" | "path string" | "string or map" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        "IP address" => "an IP address in quotes",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    }
}
