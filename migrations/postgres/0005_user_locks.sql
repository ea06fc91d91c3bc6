-- +goose Up
-- Changes that count the same user's groups wait for each other at the user's row.
CREATE TABLE user_locks (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE user_locks;
