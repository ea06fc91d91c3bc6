-- The messages of a group, to list the newest.

-- +goose Up
CREATE INDEX events_messages ON events (group_id, version) WHERE type = 'message.posted';

-- +goose Down
DROP INDEX events_messages;
