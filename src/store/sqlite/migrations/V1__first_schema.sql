-- Times are integers: milliseconds since the Unix epoch. Lists and whole records are JSON.

-- Repositories as GitHub last described them.
CREATE TABLE repos (
    repo   TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each repository is synced.
CREATE TABLE cursors (
    repo          TEXT NOT NULL PRIMARY KEY,
    etag          TEXT,
    updated_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Issues as GitHub last described them, open and closed.
CREATE TABLE issues (
    repo               TEXT NOT NULL,
    number             INTEGER NOT NULL,
    open               INTEGER NOT NULL,
    title              TEXT NOT NULL,
    labels             TEXT NOT NULL,
    assignees          TEXT NOT NULL,
    milestone          TEXT,
    author             TEXT NOT NULL,
    author_association TEXT NOT NULL,
    comment_count      INTEGER NOT NULL,
    reaction_count     INTEGER NOT NULL,
    created_at_ms      INTEGER NOT NULL,
    updated_at_ms      INTEGER NOT NULL,
    url                TEXT NOT NULL,
    PRIMARY KEY (repo, number)
) STRICT, WITHOUT ROWID;

-- The long texts stay apart, so that reading every issue's facts does not read them.
CREATE TABLE issue_bodies (
    repo   TEXT NOT NULL,
    number INTEGER NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (repo, number),
    FOREIGN KEY (repo, number) REFERENCES issues (repo, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What outlives both the claims on an issue and the issue: the epoch of its newest lease, and
-- whether its last claim ended as closed while GitHub still showed it as open.
CREATE TABLE lease_epochs (
    repo     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repo, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX lease_epochs_finished ON lease_epochs (repo, number) WHERE finished = 1;

-- Claims, active and past. The record is the truth; the other columns are what it is found by.
CREATE TABLE claims (
    claim_id      TEXT NOT NULL PRIMARY KEY,
    repo          TEXT NOT NULL,
    number        INTEGER NOT NULL,
    agent_id      TEXT NOT NULL,
    status        TEXT NOT NULL,
    active        INTEGER NOT NULL,
    request_id    TEXT,
    claimed_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    record        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- This index IS the lock: an issue has at most one active claim.
CREATE UNIQUE INDEX claims_one_active_per_issue ON claims (repo, number) WHERE active = 1;
CREATE UNIQUE INDEX claims_by_request ON claims (agent_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX claims_active_by_agent ON claims (agent_id) WHERE active = 1;
CREATE INDEX claims_past ON claims (ended_at_ms) WHERE active = 0;

-- The recorded reasons of picks; they go when their claim goes.
CREATE TABLE decisions (
    decision_id TEXT NOT NULL PRIMARY KEY,
    claim_id    TEXT NOT NULL UNIQUE REFERENCES claims (claim_id) ON DELETE CASCADE,
    record      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Events in their order. AUTOINCREMENT: a number is never given twice, even after trimming.
CREATE TABLE events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL
) STRICT;

-- When agents were last heard of.
CREATE TABLE agents (
    agent_id     TEXT NOT NULL PRIMARY KEY,
    last_call_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
