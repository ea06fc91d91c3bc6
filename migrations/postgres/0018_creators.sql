-- The user whose creation a group is. It counts for their limit even when another
-- user owns it. Null: a back end made it, or it is older than this step.

-- +goose Up
ALTER TABLE groups ADD COLUMN created_by TEXT COLLATE "C";
CREATE INDEX groups_given_away ON groups (created_by) WHERE created_by <> owner_id AND deleted_at IS NULL;

-- +goose Down
DROP INDEX groups_given_away;
ALTER TABLE groups DROP COLUMN created_by;
