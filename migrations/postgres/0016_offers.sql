-- The member to whom the owner offers the group, until they answer.

-- +goose Up
ALTER TABLE groups ADD COLUMN offered_to TEXT;

-- +goose Down
ALTER TABLE groups DROP COLUMN offered_to;
