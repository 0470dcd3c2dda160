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
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => query.push(byte.into()),
                _ => query.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    query
}
