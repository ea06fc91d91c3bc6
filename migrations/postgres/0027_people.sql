-- Users who get another name in all their groups, until that is done; and how a back end
-- finds groups.

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

CREATE INDEX groups_owner_id ON groups (owner_id, id);
CREATE INDEX groups_deleted ON groups (id) WHERE deleted_at IS NOT NULL;

-- +goose Down
DROP INDEX groups_deleted;
DROP INDEX groups_owner_id;
DROP TABLE renames;
