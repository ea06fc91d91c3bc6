-- Who may post in a group: members, or admins only.

-- +goose Up
ALTER TABLE groups ADD COLUMN posting TEXT NOT NULL DEFAULT 'members';

-- +goose Down
ALTER TABLE groups DROP COLUMN posting;
