-- Servers of this database, and what one of them at a time does. Times are those of the database's clock.
CREATE TABLE servers (
    server      TEXT NOT NULL PRIMARY KEY,
    url         TEXT NOT NULL,
    dispatches  INTEGER NOT NULL,
    -- How many runs could begin there, by its last word; none while it works on no issues.
    slots_free  INTEGER,
    begun_at_ms INTEGER NOT NULL,
    seen_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    role     TEXT NOT NULL PRIMARY KEY,
    server   TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the server that drives a run is told by others; the word is JSON.
CREATE TABLE run_words (
    word_id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id  TEXT NOT NULL,
    word    TEXT NOT NULL
) STRICT;

-- What runs did, line by line; the record is JSON. `end_bytes` counts a run's bytes up to the line's end.
CREATE TABLE run_log (
    run_id    TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    end_bytes INTEGER NOT NULL,
    record    TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT;
CREATE INDEX run_log_by_bytes ON run_log (run_id, end_bytes);
