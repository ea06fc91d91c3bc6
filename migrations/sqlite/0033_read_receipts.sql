-- Groups whose members see how far the others have read. And which messages are deleted, so
-- that nobody has them to read: unread messages are counted without them.

-- +goose Up
ALTER TABLE groups ADD COLUMN read_receipts INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE groups ADD COLUMN last_deleted INTEGER NOT NULL DEFAULT 0; -- the newest message that is deleted
ALTER TABLE events ADD COLUMN deleted INTEGER NOT NULL DEFAULT FALSE; -- a message that is deleted

UPDATE events SET deleted = TRUE FROM (
    SELECT d.group_id, CAST(json_extract(d.data, '$.version') AS INTEGER) AS version FROM events d WHERE d.type = 'message.deleted') AS gone
WHERE events.group_id = gone.group_id AND events.version = gone.version;
CREATE INDEX events_deleted ON events (group_id, version) WHERE deleted;
UPDATE groups SET last_deleted = gone.version FROM (
    SELECT group_id, MAX(version) AS version FROM events WHERE deleted GROUP BY group_id) AS gone
WHERE groups.id = gone.group_id;

-- +goose Down
DROP INDEX events_deleted;
ALTER TABLE events DROP COLUMN deleted;
ALTER TABLE groups DROP COLUMN last_deleted;
ALTER TABLE groups DROP COLUMN read_receipts;
