-- A relay reads the outbox in this order, and nothing else of it.

-- +goose Up
CREATE INDEX outbox_order ON outbox (created_at, group_id, version);
DROP INDEX outbox_created_at;

-- +goose Down
CREATE INDEX outbox_created_at ON outbox (created_at);
DROP INDEX outbox_order;
