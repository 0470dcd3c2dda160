-- How far lists are read that are not one repository's issues: the account's (`changes`), and a
-- repository's pull requests (`pulls:owner/name`).
CREATE TABLE list_cursors (
    list          TEXT NOT NULL PRIMARY KEY,
    etag          TEXT,
    updated_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Whether the account's list has shown every change of a repository since it was walked, and when all
-- its open issues were last read.
CREATE TABLE repo_marks (
    repo             TEXT NOT NULL PRIMARY KEY,
    followed         INTEGER NOT NULL DEFAULT 0,
    reconciled_at_ms INTEGER
) STRICT, WITHOUT ROWID;
