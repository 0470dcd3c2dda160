-- Follow-ups, active and past. The record is the truth; the other columns are what it is found by.
CREATE TABLE follow_ups (
    work_item_id  TEXT NOT NULL PRIMARY KEY,
    repo          TEXT NOT NULL,
    pr_number     INTEGER NOT NULL,
    source        TEXT NOT NULL,
    urgency       INTEGER NOT NULL,
    active        INTEGER NOT NULL,
    agent_id      TEXT,
    request_id    TEXT,
    created_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    record        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX follow_ups_active ON follow_ups (urgency, created_at_ms, work_item_id) WHERE active = 1;
CREATE INDEX follow_ups_active_by_pull ON follow_ups (repo, pr_number) WHERE active = 1;
CREATE INDEX follow_ups_past ON follow_ups (ended_at_ms) WHERE active = 0;
CREATE UNIQUE INDEX follow_ups_by_request ON follow_ups (agent_id, request_id) WHERE request_id IS NOT NULL;

-- Feedback that made a follow-up, remembered longer than the follow-up: one piece makes one, for ever.
CREATE TABLE follow_up_sources (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    repo         TEXT NOT NULL,
    source       TEXT NOT NULL,
    work_item_id TEXT NOT NULL,
    UNIQUE (repo, source)
) STRICT;

-- Webhook deliveries that were processed.
CREATE TABLE deliveries (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery_id TEXT NOT NULL UNIQUE
) STRICT;

-- Pull requests of claims and follow-ups, as GitHub last described them.
CREATE TABLE pulls (
    repo          TEXT NOT NULL,
    number        INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    record        TEXT NOT NULL,
    PRIMARY KEY (repo, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX pulls_by_age ON pulls (updated_at_ms);
