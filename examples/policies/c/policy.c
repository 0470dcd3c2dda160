// Keep promises: a label promises that an issue is dealt with within so many hours, and the issue that has used up most
// of its time comes first. What needs a specialist goes only to agents that state the skill, and nobody takes more than
// a few at once, so that a promise is not kept waiting in somebody's hands.

#include "sdk.h"

#include <ctype.h>

#define MINUTE_MS (60 * 1000ull)
#define HOUR_MS (60 * MINUTE_MS)
#define WAIT_MS (15 * MINUTE_MS)
#define WORD_BYTES_MAX 128

const char policy_schema[] =
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "\"hours\": {\"type\": \"object\", \"additionalProperties\": {\"type\": \"number\", \"exclusiveMinimum\": 0},"
    " \"description\": \"How many hours each label promises\"},"
    "\"hours_otherwise\": {\"type\": \"number\", \"exclusiveMinimum\": 0, \"default\": 720,"
    " \"description\": \"The same for issues without such a label\"},"
    "\"specialists\": {\"type\": \"array\", \"items\": {\"type\": \"string\"},"
    " \"description\": \"Labels that are skills, in lower case: such issues go to agents that state the skill\"},"
    "\"claims_max\": {\"type\": \"integer\", \"minimum\": 1, \"default\": 2,"
    " \"description\": \"How many issues one agent may hold\"}}}";

static sdk_value hours, specialists;
static double hours_otherwise, claims_max;

bool policy_take(sdk_value settings, const char **refusal) {
    hours = sdk_member(settings, "hours");
    if (!sdk_is_there(hours)) hours = sdk_json("{\"p0\": 8, \"bug\": 72}");
    specialists = sdk_member(settings, "specialists");
    hours_otherwise = sdk_as_number(sdk_member(settings, "hours_otherwise"), 720);
    claims_max = sdk_as_number(sdk_member(settings, "claims_max"), 2);
    if (hours_otherwise <= 0) *refusal = "hours_otherwise: a promise takes more than no time";
    else if (claims_max < 1) *refusal = "claims_max: below 1 nobody could ever take an issue";
    else return true;
    return false;
}

// The shortest promise that its labels make, and which label makes it; none: an empty text.
static double promise_of(sdk_issue issue, sdk_text *by) {
    sdk_texts labels = sdk_labels(issue);
    double shortest = hours_otherwise;
    *by = (sdk_text){0};
    for (size_t i = 0; i < labels.len; i++) {
        double promised = sdk_member_number(hours, sdk_at(labels, i), 0);
        if (promised > 0 && promised < shortest) {
            shortest = promised;
            *by = sdk_at(labels, i);
        }
    }
    return shortest;
}

void policy_rate(sdk_issue issue, uint64_t now, sdk_score *score) {
    if (sdk_open_blockers(issue).len > 0) {
        sdk_skip(score, "blocked by %.*s", SDK_TEXT(sdk_at(sdk_open_blockers(issue), 0)));
        return;
    }
    sdk_text by;
    double promised = promise_of(issue, &by);
    // In whole hundredths of the promise, so that a score holds for a while; at least a minute each.
    uint64_t step = (uint64_t)(promised * HOUR_MS / 100);
    if (step < MINUTE_MS) step = MINUTE_MS;
    uint64_t opened = sdk_created_at(issue), steps = now > opened ? (now - opened) / step : 0;
    sdk_add(score, "promise", (double)steps, "%llu%% of %g hours%s%.*s", (unsigned long long)steps, promised,
            by.len > 0 ? " by label " : "", SDK_TEXT(by));
    sdk_valid_until(score, opened + (steps + 1) * step);
}

// A text as skills are written: in lower case, here with a zero at its end; what is too long is cut.
static void lowered(char word[WORD_BYTES_MAX], sdk_text text) {
    size_t len = text.len < WORD_BYTES_MAX ? text.len : WORD_BYTES_MAX - 1;
    for (size_t i = 0; i < len; i++) word[i] = (char)tolower((unsigned char)text.ptr[i]);
    word[len] = 0;
}

static bool is_listed(sdk_value list, const char *word) {
    for (sdk_value element = sdk_first(list); sdk_is_there(element); element = sdk_next(element)) {
        if (sdk_is_string(element, word)) return true;
    }
    return false;
}

// The skill that an issue asks for and the agent does not state; none: an empty text.
static sdk_text lacking_skill(sdk_issue issue) {
    sdk_texts labels = sdk_labels(issue);
    for (size_t i = 0; i < labels.len; i++) {
        char word[WORD_BYTES_MAX];
        lowered(word, sdk_at(labels, i));
        if (is_listed(specialists, word) && !sdk_has(sdk_agent_skills(), word)) return sdk_at(labels, i);
    }
    return (sdk_text){0};
}

void policy_pick(uint64_t now, sdk_choice *choice) {
    (void)now;
    bool holds_enough = sdk_agent_claim_count() >= claims_max;
    if (holds_enough) sdk_retry_after(WAIT_MS);
    for (sdk_issue issue = 0; issue < sdk_issue_count(); issue++) {
        sdk_text skill = lacking_skill(issue);
        if (holds_enough) sdk_leave_out(choice, issue, "holds %u of %g claims", sdk_agent_claim_count(), claims_max);
        else if (skill.len > 0) sdk_leave_out(choice, issue, "needs the skill %.*s", SDK_TEXT(skill));
    }
}
