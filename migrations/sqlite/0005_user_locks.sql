-- What PostgreSQL needs to make changes wait for each other, SQLite's one
-- writer does anyway: the step is here so that both have the same numbers.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
