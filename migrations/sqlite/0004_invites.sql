-- +goose Up
CREATE TABLE invites (
    id         TEXT NOT NULL PRIMARY KEY,
    group_id   TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    code_hash  TEXT NOT NULL UNIQUE, -- SHA-256 in hexadecimal: the code is nowhere
    max_uses   INTEGER,
    uses       INTEGER NOT NULL,
    expires_at INTEGER,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX invites_group_id ON invites (group_id, id DESC);

-- +goose Down
DROP TABLE invites;
