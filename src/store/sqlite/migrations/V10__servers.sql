-- Servers of this database, and what one of them at a time does. Times are those of the database's clock.
CREATE TABLE servers (
    server      TEXT NOT NULL PRIMARY KEY,
    url         TEXT NOT NULL,
    dispatches  INTEGER NOT NULL,
    begun_at_ms INTEGER NOT NULL,
    seen_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    role     TEXT NOT NULL PRIMARY KEY,
    server   TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
