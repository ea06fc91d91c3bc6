-- Only PostgreSQL needs this step, because SQLite has a single writer. It is here so that
-- both databases have the same step numbers.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
