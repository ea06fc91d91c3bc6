-- +goose Up
-- Changes that count one user's groups wait for each other at his row.
CREATE TABLE user_locks (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE user_locks;
