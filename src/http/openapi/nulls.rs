//! Fields that are absent.

use serde_json::{Map, Value};

/// Absent fields are omitted, never null: takes `null` out of every type.
pub(super) fn without_nulls(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(any)) = fields.get_mut("anyOf") {
                any.retain(|kind| kind.get("type") != Some(&"null".into()));
                if let [only] = any.as_slice()
                    && let Value::Object(only) = only.clone()
                {
                    fields.remove("anyOf");
                    let own: Map<_, _> = std::mem::take(fields);
                    fields.extend(only);
                    fields.extend(own);
                }
            }
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
