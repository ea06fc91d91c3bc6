-- Groups whose members see how far the others have read. And which messages are deleted, so
-- that nobody has them to read: unread messages are counted without them.

-- +goose Up
ALTER TABLE groups ADD COLUMN read_receipts INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE groups ADD COLUMN last_deleted INTEGER NOT NULL DEFAULT 0; -- the newest message that is deleted
ALTER TABLE events ADD COLUMN deleted INTEGER NOT NULL DEFAULT FALSE; -- a message that is deleted

-- +moim rows events (group_id, version)
UPDATE events SET deleted = TRUE FROM (
    SELECT group_id AS id, CAST(json_extract(data, '$.version') AS INTEGER) AS message FROM events WHERE {rows} AND type = 'message.deleted') AS gone
WHERE events.group_id = gone.id AND events.version = gone.message;

-- +moim index events_deleted
CREATE INDEX events_deleted ON events (group_id, version) WHERE deleted;

-- +moim rows groups (id)
UPDATE groups SET last_deleted = gone.version FROM (
    SELECT group_id, MAX(version) AS version FROM events WHERE deleted AND group_id IN (SELECT id FROM groups WHERE {rows}) GROUP BY group_id) AS gone
WHERE groups.id = gone.group_id;

-- +goose Down
DROP INDEX events_deleted;
ALTER TABLE events DROP COLUMN deleted;
ALTER TABLE groups DROP COLUMN last_deleted;
ALTER TABLE groups DROP COLUMN read_receipts;
