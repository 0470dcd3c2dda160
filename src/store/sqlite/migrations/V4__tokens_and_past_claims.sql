-- Access tokens. The token itself is kept nowhere: only the SHA-256 it is found by.
CREATE TABLE tokens (
    token_id      TEXT NOT NULL PRIMARY KEY,
    hash          TEXT NOT NULL UNIQUE,
    agent_id      TEXT,
    scope         TEXT NOT NULL,
    label         TEXT,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Past claims, newest end first, also of one repository or one agent.
CREATE INDEX claims_past_in_repo ON claims (repo, ended_at_ms) WHERE active = 0;
CREATE INDEX claims_past_of_agent ON claims (agent_id, ended_at_ms) WHERE active = 0;
