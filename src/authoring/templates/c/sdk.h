// What a policy in C is written with. It turns the columns of facts that the host offers into one function a fact,
// and scores with reasons into what the host expects. A column is read when it is first asked for, then once a call.
//
// policy.c defines what is asked of it at the end of this file; all else is here to be called.
#ifndef SDK_H
#define SDK_H

#include "ranker_policy.h"

// A text, in UTF-8, without a zero at its end. It lasts as long as the call from the host.
typedef ranker_policy_string_t sdk_text;
// Gives a text to printf's `%.*s`.
#define SDK_TEXT(text) (int)(text).len, (const char *)(text).ptr

bool sdk_is(sdk_text text, const char *word);

// Several texts.
typedef struct {
    const sdk_text *names;
    const uint32_t *ids;
    size_t len;
} sdk_texts;

sdk_text sdk_at(sdk_texts texts, size_t i);
bool sdk_has(sdk_texts texts, const char *word);

// An open, unclaimed, admitted issue: its row, from 0 up to, not including, `sdk_issue_count()`.
typedef uint32_t sdk_issue;

uint32_t sdk_issue_count(void);
sdk_text sdk_repo(sdk_issue issue);               // owner/name, in lower case
uint64_t sdk_number(sdk_issue issue);
sdk_text sdk_title(sdk_issue issue);
sdk_text sdk_body(sdk_issue issue);               // not in policy_pick
sdk_text sdk_author(sdk_issue issue);
sdk_text sdk_author_association(sdk_issue issue); // OWNER, MEMBER, NONE, ...
sdk_text sdk_milestone(sdk_issue issue);          // empty where there is none
sdk_text sdk_approval(sdk_issue issue);           // none, approved, edited
sdk_texts sdk_labels(sdk_issue issue);
sdk_texts sdk_assignees(sdk_issue issue);
sdk_texts sdk_topics(sdk_issue issue);
sdk_texts sdk_open_blockers(sdk_issue issue);     // owner/name#number
sdk_texts sdk_areas(sdk_issue issue);             // what it is likely to touch
sdk_texts sdk_reviewers(sdk_issue issue);
uint32_t sdk_comment_count(sdk_issue issue);
uint32_t sdk_reaction_count(sdk_issue issue);
uint64_t sdk_created_at(sdk_issue issue);         // milliseconds since 1970, as all times
uint64_t sdk_updated_at(sdk_issue issue);
double sdk_current_score(sdk_issue issue);        // in policy_pick
uint32_t sdk_repo_claim_count(sdk_issue issue);   // this and the next in policy_pick
uint32_t sdk_repo_review_count(sdk_issue issue);
uint32_t sdk_reviewer_load(sdk_issue issue);

// A live claim beside the issues on offer, in policy_pick: its row, up to `sdk_claim_count()`.
typedef uint32_t sdk_claim;

uint32_t sdk_claim_count(void);
sdk_text sdk_claim_agent(sdk_claim claim);
sdk_text sdk_claim_repo(sdk_claim claim);
uint64_t sdk_claim_number(sdk_claim claim);
sdk_text sdk_claim_status(sdk_claim claim);
sdk_texts sdk_claim_areas(sdk_claim claim);
uint64_t sdk_claim_since(sdk_claim claim);

// Who asks, in policy_pick.
sdk_text sdk_agent(void);
uint32_t sdk_agent_claim_count(void);
// How much of today's budget of dispatch is spent, in percent; 0 where there is none.
uint32_t sdk_budget_spent(void);
sdk_texts sdk_agent_claim_repos(void);            // one entry a claim
uint32_t sdk_agent_review_count(void);            // its pull requests that wait for a review
sdk_texts sdk_agent_skills(void);
sdk_texts sdk_agent_groups(void);
void sdk_retry_after(uint64_t milliseconds);      // when asking again makes sense, where it gets nothing

// A value within the settings. It lasts as long as the policy.
typedef struct {
    const char *at;
} sdk_value;

sdk_value sdk_json(const char *text);                                       // text that is known to be JSON
bool sdk_is_there(sdk_value value);
sdk_value sdk_member(sdk_value object, const char *key);                    // not there: sdk_is_there says so
double sdk_member_number(sdk_value object, sdk_text key, double otherwise); // the key's case does not matter
double sdk_as_number(sdk_value value, double otherwise);
bool sdk_as_bool(sdk_value value, bool otherwise);
bool sdk_is_string(sdk_value value, const char *word);
sdk_value sdk_first(sdk_value list);                                        // elements of a list, one by one
sdk_value sdk_next(sdk_value element);

// The score of one issue, added up term by term. The same code scores and explains.
typedef struct sdk_score sdk_score;

// Adds `amount`, on the word of `rule`. `format`, as printf's, says what it saw; it may be NULL.
void sdk_add(sdk_score *score, const char *rule, double amount, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// Leaves the issue out; the first reason counts. An agent reads it when there is no work. People who ask for the
// reasons are told all that are given.
void sdk_skip(sdk_score *score, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Says that this score holds until `end` only. Without it: until a fact changes.
void sdk_valid_until(sdk_score *score, uint64_t end);

// An order of the short list, and what this agent must not get now.
typedef struct sdk_choice sdk_choice;

// Puts `issue` next. Those never put anywhere follow in the order in which they came.
void sdk_offer(sdk_choice *choice, sdk_issue issue);
// Leaves `issue` out for this request. The agent reads the reason.
void sdk_leave_out(sdk_choice *choice, sdk_issue issue, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Writes a line to the server's log.
void sdk_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Writes why to the server's log, and gives the call up as failed.
_Noreturn void sdk_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// What a policy defines.

// A JSON Schema of the settings, to which the server holds them.
extern const char policy_schema[];
// Takes the settings. Says false for what cannot work, and why in `*refusal`, naming the key.
bool policy_take(sdk_value settings, const char **refusal);
// Scores one issue from its own facts.
void policy_rate(sdk_issue issue, uint64_t now, sdk_score *score);
// Has the last word when an agent asks. It need not be defined.
void policy_pick(uint64_t now, sdk_choice *choice);

#endif
