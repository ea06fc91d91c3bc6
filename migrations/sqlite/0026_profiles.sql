-- What members say about themselves: a JSON object.

-- +goose Up
ALTER TABLE members ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE members DROP COLUMN profile;
