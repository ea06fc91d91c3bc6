-- Users who may not post in a group. They stay muted when they leave and come back.

-- +goose Up
CREATE TABLE mutes (
    group_id   TEXT COLLATE "C" NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id    TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    actor      TEXT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX mutes_expires_at ON mutes (expires_at) WHERE expires_at IS NOT NULL;

-- +goose Down
DROP TABLE mutes;
