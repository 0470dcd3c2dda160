-- Runs of the dispatcher; the record is JSON.
CREATE TABLE runs (
    run_id  TEXT NOT NULL PRIMARY KEY,
    repo    TEXT NOT NULL,
    number  INTEGER NOT NULL,
    active  INTEGER NOT NULL,
    status  TEXT NOT NULL,
    pr_url  TEXT,
    version INTEGER NOT NULL,
    record  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- One issue, one run at a time.
CREATE UNIQUE INDEX runs_active ON runs (repo, number) WHERE active = 1;
CREATE INDEX runs_of_issue ON runs (repo, number, run_id);
CREATE INDEX runs_of_pull ON runs (pr_url, run_id) WHERE pr_url IS NOT NULL;
CREATE INDEX runs_ended ON runs (active, run_id);

-- What runs used, by day (UTC): it outlives their records.
CREATE TABLE run_usage (
    day           TEXT NOT NULL,
    repo          TEXT NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd      REAL NOT NULL,
    PRIMARY KEY (day, repo)
) STRICT, WITHOUT ROWID;

-- Why the dispatcher begins nothing; empty when it does.
CREATE TABLE dispatch_pause (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    why TEXT NOT NULL
) STRICT, WITHOUT ROWID;
