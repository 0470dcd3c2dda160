// The other side of sdk.h: facts come in, scores and choices go out. Policies need not touch it.
#include "sdk.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER 253402300799999ull
// Longest text of a reason or a line of the log, in bytes; the rest is cut.
#define TEXT_BYTES_MAX 1024

// Columns. Each is read when it is first asked for, and given back at the end of the call.

typedef issuecommand_policy_types_text_column_t text_column;
typedef issuecommand_policy_types_label_table_t label_table;

#define KEPT(name, type, read, release)                                                                                \
    static struct {                                                                                                    \
        bool is_read;                                                                                                  \
        type column;                                                                                                   \
    } name;                                                                                                            \
    static type *name##_column(void) {                                                                                 \
        if (!name.is_read) read(&name.column);                                                                         \
        name.is_read = true;                                                                                           \
        return &name.column;                                                                                           \
    }                                                                                                                  \
    static void name##_forget(void) {                                                                                  \
        if (name.is_read) release(&name.column);                                                                       \
        name.is_read = false;                                                                                          \
    }

#define TEXTS(name, function, from)                                                                                    \
    KEPT(name, text_column, issuecommand_policy_##from, issuecommand_policy_types_text_column_free)                    \
    sdk_text function(uint32_t row) {                                                                                  \
        text_column *it = name##_column();                                                                             \
        return row < it->ids.len ? it->names.ptr[it->ids.ptr[row]] : (sdk_text){0};                                    \
    }

#define LISTS(name, function, from)                                                                                    \
    KEPT(name, label_table, issuecommand_policy_##from, issuecommand_policy_types_label_table_free)                    \
    sdk_texts function(uint32_t row) {                                                                                 \
        label_table *it = name##_column();                                                                             \
        if (row + 1 >= it->starts.len) return (sdk_texts){0};                                                          \
        uint32_t start = it->starts.ptr[row], end = it->starts.ptr[row + 1];                                           \
        return (sdk_texts){it->names.ptr, it->ids.ptr + start, end - start};                                           \
    }

#define VALUES(name, function, type, list, from)                                                                       \
    KEPT(name, list##_t, issuecommand_policy_##from, list##_free)                                                      \
    type function(uint32_t row) {                                                                                      \
        list##_t *it = name##_column();                                                                                \
        return row < it->len ? it->ptr[row] : (type){0};                                                               \
    }

#define ALL(name, function, from)                                                                                      \
    KEPT(name, ranker_policy_list_string_t, issuecommand_policy_##from, ranker_policy_list_string_free)                \
    sdk_texts function(void) {                                                                                         \
        ranker_policy_list_string_t *it = name##_column();                                                             \
        return (sdk_texts){it->ptr, NULL, it->len};                                                                    \
    }

#define U32 uint32_t, ranker_policy_list_u32
#define U64 uint64_t, ranker_policy_list_u64
#define TEXT sdk_text, ranker_policy_list_string
#define TIME uint64_t, issuecommand_policy_candidates_list_instant
#define CLAIM_TIME uint64_t, issuecommand_policy_live_claims_list_instant
#define EACH(kind, ...) kind(__VA_ARGS__)

// What there is: of which kind, how it is called here and in sdk.h, and where it comes from.
#define COLUMNS(X)                                                                                                     \
    X(TEXTS, repo, sdk_repo, candidates_repos)                                                                         \
    X(VALUES, number, sdk_number, U64, candidates_numbers)                                                             \
    X(VALUES, title, sdk_title, TEXT, candidates_titles)                                                               \
    X(VALUES, body, sdk_body, TEXT, candidates_bodies)                                                                 \
    X(TEXTS, author, sdk_author, candidates_authors)                                                                   \
    X(TEXTS, author_association, sdk_author_association, candidates_author_associations)                               \
    X(TEXTS, milestone, sdk_milestone, candidates_milestones)                                                          \
    X(TEXTS, approval, sdk_approval, candidates_approvals)                                                             \
    X(LISTS, labels, sdk_labels, candidates_labels)                                                                    \
    X(LISTS, assignees, sdk_assignees, candidates_assignees)                                                           \
    X(LISTS, topics, sdk_topics, candidates_topics)                                                                    \
    X(LISTS, open_blockers, sdk_open_blockers, candidates_open_blockers)                                               \
    X(LISTS, areas, sdk_areas, candidates_areas)                                                                       \
    X(LISTS, reviewers, sdk_reviewers, candidates_reviewers)                                                           \
    X(VALUES, comment_count, sdk_comment_count, U32, candidates_comment_counts)                                        \
    X(VALUES, reaction_count, sdk_reaction_count, U32, candidates_reaction_counts)                                     \
    X(VALUES, created_at, sdk_created_at, TIME, candidates_created_at)                                                 \
    X(VALUES, updated_at, sdk_updated_at, TIME, candidates_updated_at)                                                 \
    X(VALUES, current_score, sdk_current_score, double, ranker_policy_list_f64, candidates_scores)                     \
    X(VALUES, repo_claim_count, sdk_repo_claim_count, U32, request_repo_claim_counts)                                  \
    X(VALUES, repo_review_count, sdk_repo_review_count, U32, request_repo_review_counts)                               \
    X(VALUES, reviewer_load, sdk_reviewer_load, U32, request_reviewer_loads)                                           \
    X(TEXTS, claim_agent, sdk_claim_agent, live_claims_agents)                                                         \
    X(TEXTS, claim_repo, sdk_claim_repo, live_claims_repos)                                                            \
    X(VALUES, claim_number, sdk_claim_number, U64, live_claims_numbers)                                                \
    X(TEXTS, claim_status, sdk_claim_status, live_claims_statuses)                                                     \
    X(LISTS, claim_areas, sdk_claim_areas, live_claims_areas)                                                          \
    X(VALUES, claim_since, sdk_claim_since, CLAIM_TIME, live_claims_claimed_at)                                        \
    X(ALL, agent_claim_repos, sdk_agent_claim_repos, request_agent_claim_repos)                                        \
    X(ALL, agent_skills, sdk_agent_skills, request_skills)                                                             \
    X(ALL, agent_groups, sdk_agent_groups, request_groups)

#define DEFINE(kind, ...) EACH(kind, __VA_ARGS__)
COLUMNS(DEFINE)
KEPT(agent, sdk_text, issuecommand_policy_request_agent, ranker_policy_string_free)

#define FORGET(kind, name, ...) name##_forget();
static void forget_all(void) {
    COLUMNS(FORGET)
    agent_forget();
}

uint32_t sdk_issue_count(void) { return issuecommand_policy_candidates_count(); }
uint32_t sdk_claim_count(void) { return issuecommand_policy_live_claims_count(); }
sdk_text sdk_agent(void) { return *agent_column(); }
uint32_t sdk_agent_claim_count(void) { return issuecommand_policy_request_agent_claim_count(); }

uint32_t sdk_budget_spent(void) { return issuecommand_policy_request_budget_spent(); }
uint32_t sdk_agent_review_count(void) { return issuecommand_policy_request_agent_review_count(); }
void sdk_retry_after(uint64_t milliseconds) { issuecommand_policy_request_retry_after(milliseconds); }

bool sdk_is(sdk_text text, const char *word) {
    return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

sdk_text sdk_at(sdk_texts texts, size_t i) { return texts.names[texts.ids ? texts.ids[i] : i]; }

bool sdk_has(sdk_texts texts, const char *word) {
    for (size_t i = 0; i < texts.len; i++) {
        if (sdk_is(sdk_at(texts, i), word)) return true;
    }
    return false;
}

// Texts that go out belong to the host, which has them freed.

static sdk_text formatted(const char *format, va_list arguments) {
    char text[TEXT_BYTES_MAX];
    sdk_text copy = {0};
    if (!format) return copy;
    int len = vsnprintf(text, sizeof text, format, arguments);
    // What was cut may have been cut within a character, which UTF-8 spreads over several bytes.
    if (len >= TEXT_BYTES_MAX) {
        len = TEXT_BYTES_MAX - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) len--;
    }
    if (len > 0) ranker_policy_string_dup_n(&copy, text, (size_t)len);
    return copy;
}

static void write_log(issuecommand_policy_log_level_t level, const char *format, va_list arguments) {
    sdk_text line = formatted(format, arguments);
    issuecommand_policy_log_write(level, &line);
    ranker_policy_string_free(&line);
}

#define WITH_ARGUMENTS(format, action)                                                                                 \
    va_list arguments;                                                                                                 \
    va_start(arguments, format);                                                                                       \
    action;                                                                                                            \
    va_end(arguments)

void sdk_log(const char *format, ...) {
    WITH_ARGUMENTS(format, write_log(ISSUECOMMAND_POLICY_LOG_LEVEL_INFO, format, arguments));
}

void sdk_fail(const char *format, ...) {
    WITH_ARGUMENTS(format, write_log(ISSUECOMMAND_POLICY_LOG_LEVEL_ERROR, format, arguments));
    abort();
}

// Makes room for one more in a list: whenever its length is a power of two, twice as much.
static void *grown(void *list, size_t len, size_t size) {
    if (len & (len - 1)) return list;
    list = realloc(list, (len ? 2 * len : 1) * size);
    if (!list) abort();
    return list;
}
#define PUSH(list, ...)                                                                                                \
    ((list).ptr = grown((list).ptr, (list).len, sizeof *(list).ptr),                                                   \
     (list).ptr[(list).len++] = (__typeof__(*(list).ptr))__VA_ARGS__)

// Settings: JSON as the host writes it, which is sound, read where it stands.

static const char *past_space(const char *at) {
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') at++;
    return at;
}

// One byte of a string, and where the next is; -1 at its end. Characters beyond ASCII are never escaped by the host.
static int next_byte(const char **at) {
    unsigned char byte = (unsigned char)*(*at)++;
    if (byte == '"') return -1;
    if (byte != '\\') return byte;
    byte = (unsigned char)*(*at)++;
    if (byte == 'u') {
        char digits[5] = {0};
        memcpy(digits, *at, 4);
        *at += 4;
        return (int)strtol(digits, NULL, 16) & 0xff;
    }
    const char *from = "bfnrt", *to = "\b\f\n\r\t", *found = strchr(from, byte);
    return found ? to[found - from] : byte;
}

static const char *past_value(const char *at) {
    if (*at == '"') {
        at++;
        while (next_byte(&at) >= 0) {}
        return at;
    }
    if (*at != '{' && *at != '[') return at + strcspn(at, ",]} \n\t\r");
    int depth = 0;
    do {
        if (*at == '"') {
            at = past_value(at);
            continue;
        }
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at++;
    } while (depth > 0);
    return at;
}

// Whether a string is `word`, and what comes after it.
static bool reads(const char **at, const char *word, size_t len, bool any_case) {
    bool same = true;
    size_t i = 0;
    for (int byte; (byte = next_byte(at)) >= 0; i++) {
        int other = i < len ? (unsigned char)word[i] : -1;
        same = same && (any_case && other >= 0 ? tolower(byte) == tolower(other) : byte == other);
    }
    return same && i == len;
}

static sdk_value member(sdk_value object, const char *key, size_t len, bool any_case) {
    if (!object.at || *object.at != '{') return (sdk_value){0};
    const char *at = past_space(object.at + 1);
    while (*at == '"') {
        at++;
        bool found = reads(&at, key, len, any_case);
        at = past_space(past_space(at) + 1);
        if (found) return (sdk_value){at};
        at = past_space(past_value(at));
        if (*at == ',') at = past_space(at + 1);
    }
    return (sdk_value){0};
}

sdk_value sdk_json(const char *text) { return (sdk_value){past_space(text)}; }
bool sdk_is_there(sdk_value value) { return value.at != NULL; }
sdk_value sdk_member(sdk_value object, const char *key) { return member(object, key, strlen(key), false); }

double sdk_member_number(sdk_value object, sdk_text key, double otherwise) {
    return sdk_as_number(member(object, (const char *)key.ptr, key.len, true), otherwise);
}

double sdk_as_number(sdk_value value, double otherwise) {
    return value.at && (*value.at == '-' || isdigit((unsigned char)*value.at)) ? strtod(value.at, NULL) : otherwise;
}

bool sdk_as_bool(sdk_value value, bool otherwise) {
    return value.at && (*value.at == 't' || *value.at == 'f') ? *value.at == 't' : otherwise;
}

bool sdk_is_string(sdk_value value, const char *word) {
    if (!value.at || *value.at != '"') return false;
    const char *at = value.at + 1;
    return reads(&at, word, strlen(word), false);
}

sdk_value sdk_first(sdk_value list) {
    if (!list.at || *list.at != '[') return (sdk_value){0};
    const char *at = past_space(list.at + 1);
    return (sdk_value){*at == ']' ? NULL : at};
}

sdk_value sdk_next(sdk_value element) {
    const char *at = past_space(past_value(element.at));
    return (sdk_value){*at == ',' ? past_space(at + 1) : NULL};
}

// Scores and choices.

struct sdk_score {
    double value;
    uint64_t end;
    bool is_skipped;
    // The first reason to skip, where no terms are wanted; else all of them are among the terms.
    sdk_text reason;
    // Where terms are wanted: in `explain`.
    exports_issuecommand_policy_ranker_list_reason_t *terms;
};

void sdk_add(sdk_score *score, const char *rule, double amount, const char *format, ...) {
    score->value += amount;
    if (!score->terms || (amount == 0 && !format)) return;
    issuecommand_policy_types_reason_t term = {.amount = amount};
    ranker_policy_string_dup(&term.rule, rule);
    WITH_ARGUMENTS(format, term.text = formatted(format, arguments));
    PUSH(*score->terms, term);
}

void sdk_skip(sdk_score *score, const char *format, ...) {
    if (score->is_skipped && !score->terms) return;
    sdk_text reason;
    WITH_ARGUMENTS(format, reason = formatted(format, arguments));
    score->is_skipped = true;
    if (score->terms) {
        issuecommand_policy_types_reason_t term = {.text = reason};
        ranker_policy_string_dup(&term.rule, "skip");
        PUSH(*score->terms, term);
    } else {
        score->reason = reason;
    }
}

void sdk_valid_until(sdk_score *score, uint64_t end) {
    if (end < score->end) score->end = end;
}

struct sdk_choice {
    exports_issuecommand_policy_ranker_choice_t choice;
};

void sdk_offer(sdk_choice *choice, sdk_issue issue) { PUSH(choice->choice.order, issue); }

void sdk_leave_out(sdk_choice *choice, sdk_issue issue, const char *format, ...) {
    exports_issuecommand_policy_ranker_exclusion_t left = {.row = issue};
    WITH_ARGUMENTS(format, left.reason = formatted(format, arguments));
    PUSH(choice->choice.skipped, left);
}

__attribute__((weak)) void policy_pick(uint64_t now, sdk_choice *choice) {
    (void)now;
    (void)choice;
}

// What the component exports.

void exports_issuecommand_policy_ranker_settings_schema(ranker_policy_string_t *ret) {
    ranker_policy_string_dup(ret, policy_schema);
}

bool exports_issuecommand_policy_ranker_configure(ranker_policy_string_t *settings, ranker_policy_string_t *err) {
    // Kept for good: values within the settings point into it.
    char *text = calloc(settings->len + 1, 1);
    if (!text) abort();
    memcpy(text, settings->ptr, settings->len);
    ranker_policy_string_free(settings);
    const char *refusal = "the policy does not say why";
    bool is_taken = policy_take(sdk_json(text), &refusal);
    if (!is_taken) ranker_policy_string_dup(err, refusal);
    return is_taken;
}

bool exports_issuecommand_policy_ranker_score(uint64_t now, exports_issuecommand_policy_ranker_scores_t *ret,
                                              ranker_policy_string_t *err) {
    (void)err;
    *ret = (exports_issuecommand_policy_ranker_scores_t){0};
    uint64_t soonest = NEVER;
    uint32_t count = sdk_issue_count();
    for (sdk_issue issue = 0; issue < count; issue++) {
        sdk_score score = {.end = NEVER};
        policy_rate(issue, now, &score);
        PUSH(ret->values, score.value);
        PUSH(ret->valid_until, score.end);
        if (score.end < soonest) soonest = score.end;
        if (score.is_skipped) PUSH(ret->skipped, {issue, score.reason});
    }
    if (soonest == NEVER) exports_issuecommand_policy_ranker_list_instant_free(&ret->valid_until);
    if (soonest == NEVER) ret->valid_until.len = 0;
    forget_all();
    return true;
}

bool exports_issuecommand_policy_ranker_choose(uint64_t now, exports_issuecommand_policy_ranker_choice_t *ret,
                                               ranker_policy_string_t *err) {
    (void)err;
    sdk_choice choice = {0};
    policy_pick(now, &choice);
    *ret = choice.choice;
    forget_all();
    return true;
}

bool exports_issuecommand_policy_ranker_explain(uint64_t now,
                                                exports_issuecommand_policy_ranker_list_list_reason_t *ret,
                                                ranker_policy_string_t *err) {
    (void)err;
    *ret = (exports_issuecommand_policy_ranker_list_list_reason_t){0};
    uint32_t count = sdk_issue_count();
    for (sdk_issue issue = 0; issue < count; issue++) {
        exports_issuecommand_policy_ranker_list_reason_t terms = {0};
        sdk_score score = {.end = NEVER, .terms = &terms};
        policy_rate(issue, now, &score);
        PUSH(*ret, terms);
    }
    forget_all();
    return true;
}
