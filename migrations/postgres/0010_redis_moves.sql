-- +goose Up
-- Moves of roles from one Redis server to another. Times are by the database's clock.
CREATE TABLE redis_moves (
    role           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    id             TEXT NOT NULL,
    phase          INTEGER NOT NULL,
    source         TEXT NOT NULL, -- the servers' names
    target         TEXT NOT NULL,
    source_url     TEXT NOT NULL, -- sealed
    target_url     TEXT NOT NULL, -- sealed
    operator       TEXT NOT NULL,
    operator_until BIGINT NOT NULL
);

-- The live nodes, and which phase of which move each has reached.
CREATE TABLE redis_nodes (
    node    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    reached TEXT NOT NULL -- JSON, by role
);

-- +goose Down
DROP TABLE redis_nodes;
DROP TABLE redis_moves;
