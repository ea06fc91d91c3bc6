-- +goose Up
CREATE TABLE bans (
    group_id   TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    expires_at INTEGER,
    actor      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE bans;
