-- The time of a group's next timer: a reminder, or its end.

-- +goose Up
ALTER TABLE groups ADD COLUMN next_at BIGINT;
CREATE INDEX groups_next_at ON groups (next_at) WHERE next_at IS NOT NULL;

-- +goose Down
DROP INDEX groups_next_at;
ALTER TABLE groups DROP COLUMN next_at;
