-- +goose Up
-- Each event has the number of messages in its group up to it. The number of unread
-- messages is the group's number minus the number at the member's mark.
ALTER TABLE groups ADD COLUMN messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN read_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN read_messages BIGINT NOT NULL DEFAULT 0;

UPDATE events SET messages = counted.messages FROM (
    SELECT group_id, version, COUNT(CASE WHEN type = 'message.posted' THEN 1 END)
        OVER (PARTITION BY group_id ORDER BY version) AS messages FROM events) AS counted
WHERE events.group_id = counted.group_id AND events.version = counted.version;
UPDATE groups SET messages = COALESCE((SELECT MAX(messages) FROM events WHERE group_id = groups.id), 0);
-- Messages from before read marks existed count as read.
UPDATE members SET read_version = g.version, read_messages = g.messages FROM groups AS g WHERE g.id = members.group_id;

-- +goose Down
ALTER TABLE members DROP COLUMN read_messages;
ALTER TABLE members DROP COLUMN read_version;
ALTER TABLE events DROP COLUMN messages;
ALTER TABLE groups DROP COLUMN messages;
