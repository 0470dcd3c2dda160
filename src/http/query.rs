//! Fields as they stand in an address.

use crate::api::Fields;

/// All fields as a query, with its question mark; nothing where there are none.
pub(super) fn query(fields: Fields) -> String {
    let mut query = String::new();
    for (name, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&name);
        query.push('=');
        query.push_str(&encoded(&value));
    }
    query
}

/// A text as it stands in an address: in one part of a path, or in a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
