-- What a store knows of its copies, in one row: behind which number it counts epochs and events since it was copied
-- itself, and where its contents were moved to, if they were: then nobody goes on here.
CREATE TABLE lineage (
    one          BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    counted_from BIGINT NOT NULL DEFAULT 0,
    moved_to     TEXT COLLATE "C",
    moved_at_ms  BIGINT
);

INSERT INTO lineage (one) VALUES (1);
