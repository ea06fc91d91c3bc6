-- +goose Up
-- Users who asked to become members, and are neither members nor rejected.
CREATE TABLE requests (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL,
    name     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE requests;
