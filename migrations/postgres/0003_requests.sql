-- +goose Up
-- Users who asked to become members, and are neither members nor rejected.
CREATE TABLE requests (
    group_id TEXT COLLATE "C" NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT COLLATE "C" NOT NULL,
    name     TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (group_id, user_id)
);

-- +goose Down
DROP TABLE requests;
