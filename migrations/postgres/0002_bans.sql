-- +goose Up
CREATE TABLE bans (
    group_id   TEXT COLLATE "C" NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id    TEXT COLLATE "C" NOT NULL,
    reason     TEXT NOT NULL,
    expires_at BIGINT,
    actor      TEXT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (group_id, user_id)
);

-- +goose Down
DROP TABLE bans;
