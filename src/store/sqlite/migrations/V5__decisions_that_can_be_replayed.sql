-- Decisions outlive their claims, and an answer that there is nothing is one too. The record is the truth; the
-- other columns are what it is found by. AUTOINCREMENT: what is kept is counted back from the newest.
CREATE TABLE decisions_in_order (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    decision_id TEXT NOT NULL UNIQUE,
    claim_id    TEXT UNIQUE,
    agent_id    TEXT NOT NULL,
    repo        TEXT,
    number      INTEGER,
    record      TEXT NOT NULL
) STRICT;

INSERT INTO decisions_in_order (decision_id, claim_id, agent_id, repo, number, record)
    SELECT decisions.decision_id, claims.claim_id, claims.agent_id, claims.repo, claims.number, decisions.record
    FROM decisions JOIN claims ON claims.claim_id = decisions.claim_id
    ORDER BY claims.claimed_at_ms, claims.claim_id;

DROP TABLE decisions;
ALTER TABLE decisions_in_order RENAME TO decisions;

CREATE INDEX decisions_of_agent ON decisions (agent_id, seq);
CREATE INDEX decisions_on_issue ON decisions (repo, number, seq);

-- The states of issues that decisions refer to, each once. `last_seq` is about the newest decision that does.
CREATE TABLE issue_versions (
    version  TEXT NOT NULL PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    record   TEXT NOT NULL,
    body     TEXT NOT NULL
) STRICT;

CREATE INDEX issue_versions_by_age ON issue_versions (last_seq);
