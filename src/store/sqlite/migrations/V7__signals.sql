-- What each open issue is likely to touch, and whose review that needs: JSON lists. Made from the issue as it
-- was at issue_updated_ms; one that changed since is looked at again.
CREATE TABLE issue_places (
    repo             TEXT NOT NULL,
    number           INTEGER NOT NULL,
    issue_updated_ms INTEGER NOT NULL,
    areas            TEXT NOT NULL,
    reviewers        TEXT NOT NULL,
    PRIMARY KEY (repo, number),
    FOREIGN KEY (repo, number) REFERENCES issues (repo, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Merged pull requests that teach where work goes. has_files: whether their files were read.
CREATE TABLE past_pulls (
    repo         TEXT NOT NULL,
    number       INTEGER NOT NULL,
    merged_at_ms INTEGER NOT NULL,
    has_files    INTEGER NOT NULL,
    record       TEXT NOT NULL,
    PRIMARY KEY (repo, number)
) STRICT, WITHOUT ROWID;

-- What was read of each repository to that end: its CODEOWNERS, and how far its pull requests.
CREATE TABLE place_sources (
    repo   TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Signs of life of claims; they go when their claim goes.
CREATE TABLE claim_signals (
    claim_id TEXT NOT NULL PRIMARY KEY REFERENCES claims (claim_id) ON DELETE CASCADE,
    record   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What agents are to be told at their next call; they go when told.
CREATE TABLE notices (
    notice_id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id  TEXT NOT NULL,
    told      TEXT NOT NULL
) STRICT;
