-- How large a group's log is. A sweep counts the events up to a version, and triggers
-- uncount what is removed, whoever removes it. An event counts as its data and 100
-- bytes for the rest of its row.

-- +goose Up
ALTER TABLE heads ADD COLUMN counted INTEGER NOT NULL DEFAULT 0; -- the version up to which events are counted
ALTER TABLE heads ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;   -- of these events
ALTER TABLE sweeps ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;  -- the bound of a log; 0: none

-- +goose StatementBegin
CREATE TRIGGER events_removed AFTER DELETE ON events BEGIN
    UPDATE heads SET bytes = bytes - octet_length(OLD.data) - 100 WHERE group_id = OLD.group_id AND counted >= OLD.version;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_replaced AFTER UPDATE OF data ON events BEGIN
    UPDATE heads SET bytes = bytes + octet_length(NEW.data) - octet_length(OLD.data) WHERE group_id = NEW.group_id AND counted >= NEW.version;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER events_replaced;
DROP TRIGGER events_removed;
ALTER TABLE sweeps DROP COLUMN bytes;
ALTER TABLE heads DROP COLUMN bytes;
ALTER TABLE heads DROP COLUMN counted;
