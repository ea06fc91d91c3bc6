-- A random secret of the deployment. A node makes it at its start.

-- +goose Up
ALTER TABLE deployment ADD COLUMN secret TEXT;

-- +goose Down
ALTER TABLE deployment DROP COLUMN secret;
