-- Users who get another name in all their groups, until that is done.

-- +goose Up
CREATE TABLE renames (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    id      TEXT NOT NULL,
    name    TEXT NOT NULL,
    actor   TEXT NOT NULL,
    before  TEXT COLLATE "C" NOT NULL, -- groups with a lower id are still to be done; empty: all
    until   BIGINT NOT NULL -- the claim of the node that works on it, on the database's clock
);
CREATE INDEX renames_until ON renames (until);

-- +goose Down
DROP TABLE renames;
