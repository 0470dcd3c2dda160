#include "sdk.h"

#define DAY_MS (24 * 60 * 60 * 1000ull)

const char policy_schema[] =
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "\"labels\": {\"type\": \"object\", \"additionalProperties\": {\"type\": \"number\"}}}}";

static sdk_value labels;

bool policy_take(sdk_value settings, const char **refusal) {
    (void)refusal;
    labels = sdk_member(settings, "labels");
    if (!sdk_is_there(labels)) labels = sdk_json("{\"bug\": 10}");
    return true;
}

void policy_rate(sdk_issue issue, uint64_t now, sdk_score *score) {
    sdk_texts names = sdk_labels(issue);
    if (sdk_has(names, "wontfix")) {
        sdk_skip(score, "labelled wontfix");
        return;
    }
    for (size_t i = 0; i < names.len; i++) {
        sdk_text name = sdk_at(names, i);
        sdk_add(score, "label", sdk_member_number(labels, name, 0), "%.*s", SDK_TEXT(name));
    }
    uint64_t days = (now - sdk_created_at(issue)) / DAY_MS;
    sdk_add(score, "age", (days < 30 ? days : 30) * 0.1, "open for %llu days", (unsigned long long)days);
    if (days < 30) sdk_valid_until(score, sdk_created_at(issue) + (days + 1) * DAY_MS);
}
