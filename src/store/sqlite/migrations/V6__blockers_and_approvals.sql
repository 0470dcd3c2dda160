-- What is to be closed before an open issue is worked on: by GitHub's dependencies (by_github = 1), of which
-- GitHub said whether they are open, or by what the issue's own text says (0).
CREATE TABLE blockers (
    repo           TEXT NOT NULL,
    number         INTEGER NOT NULL,
    by_github      INTEGER NOT NULL,
    blocker_repo   TEXT NOT NULL,
    blocker_number INTEGER NOT NULL,
    stated_open    INTEGER NOT NULL,
    PRIMARY KEY (repo, number, by_github, blocker_repo, blocker_number),
    FOREIGN KEY (repo, number) REFERENCES issues (repo, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX blockers_by_blocker ON blockers (blocker_repo, blocker_number);

-- Open issues that GitHub says are blocked: their dependencies are read by themselves. When that was last,
-- and the tag of the answer.
CREATE TABLE dependency_readings (
    repo       TEXT NOT NULL,
    number     INTEGER NOT NULL,
    etag       TEXT,
    read_at_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repo, number),
    FOREIGN KEY (repo, number) REFERENCES issues (repo, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX dependency_readings_by_age ON dependency_readings (read_at_ms);

-- Open issues of before this table was made, whose texts were not yet read for blockers.
CREATE TABLE texts_unread (
    repo   TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (repo, number)
) STRICT, WITHOUT ROWID;

INSERT INTO texts_unread (repo, number) SELECT repo, number FROM issues WHERE open = 1;

-- Maintainers' approvals: who, when, by which label (none: an operator's word), and the SHA-256 of title and
-- text as they were approved; NULL where nobody can tell what they were.
CREATE TABLE approvals (
    repo           TEXT NOT NULL,
    number         INTEGER NOT NULL,
    approved_by    TEXT NOT NULL,
    approved_at_ms INTEGER NOT NULL,
    label          TEXT,
    content_sha256 BLOB,
    PRIMARY KEY (repo, number),
    FOREIGN KEY (repo, number) REFERENCES issues (repo, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- When an issue with an approval label was last asked who put it there: the issue's last change by then.
CREATE TABLE label_readings (
    repo          TEXT NOT NULL,
    number        INTEGER NOT NULL,
    etag          TEXT,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repo, number),
    FOREIGN KEY (repo, number) REFERENCES issues (repo, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
