-- A timer that failed is tried again at retry_at, later after each failure.

-- +goose Up
ALTER TABLE groups ADD COLUMN retry_at BIGINT;
ALTER TABLE groups ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
DROP INDEX groups_next_at;
CREATE INDEX groups_due_at ON groups ((COALESCE(retry_at, next_at))) WHERE next_at IS NOT NULL;

-- +goose Down
DROP INDEX groups_due_at;
CREATE INDEX groups_next_at ON groups (next_at) WHERE next_at IS NOT NULL;
ALTER TABLE groups DROP COLUMN failures;
ALTER TABLE groups DROP COLUMN retry_at;
