-- Every set of policies that came in force, newest last; only the last ones are kept.
CREATE TABLE policy_sets (
    set_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms  INTEGER NOT NULL,
    why    TEXT NOT NULL,
    by_whom TEXT,
    -- JSON: the ranker's configuration, the stamps of all policies, those of its components.
    record TEXT NOT NULL
) STRICT;

-- The components of those sets that came from files, in pieces: one write of forty megabytes would keep claims
-- waiting.
CREATE TABLE policy_component_pieces (
    digest TEXT NOT NULL,
    piece  INTEGER NOT NULL,
    bytes  BLOB NOT NULL,
    UNIQUE (digest, piece)
) STRICT;
-- Those of which every piece is there.
CREATE TABLE policy_components (
    digest      TEXT NOT NULL PRIMARY KEY,
    piece_count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What came of asking a candidate what it would have picked, hour by hour.
CREATE TABLE trial_hours (
    candidate TEXT NOT NULL,
    hour_ms   INTEGER NOT NULL,
    agreed    INTEGER NOT NULL,
    disagreed INTEGER NOT NULL,
    undecided INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    dropped   INTEGER NOT NULL,
    PRIMARY KEY (candidate, hour_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE disagreements (
    disagreement_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    candidate       TEXT NOT NULL,
    record          TEXT NOT NULL
) STRICT;
CREATE INDEX disagreements_of_candidate ON disagreements (candidate, disagreement_id);
