-- How large a group's log is. A sweep counts the events up to a version, and triggers
-- uncount what is removed, whoever removes it: a node of the version before, too. An
-- event counts as its data and 100 bytes for the rest of its row.

-- +goose Up
-- The table of events is locked before that of heads, as an event does.
-- +goose StatementBegin
CREATE FUNCTION uncount_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE heads h SET bytes = h.bytes - (SELECT COALESCE(SUM(octet_length(e.data) + 100), 0)
        FROM removed e WHERE e.group_id = h.group_id AND e.version <= h.counted)
        WHERE h.group_id = ANY (ARRAY(SELECT DISTINCT group_id FROM removed));
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION recount_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- It also locks the row of an event that is not counted yet: a sweep that counts
    -- it waits, and then sees the new data.
    UPDATE heads SET bytes = bytes + CASE WHEN counted >= NEW.version THEN octet_length(NEW.data) - octet_length(OLD.data) ELSE 0 END
        WHERE group_id = NEW.group_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER events_removed AFTER DELETE ON events REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION uncount_events();
CREATE TRIGGER events_replaced AFTER UPDATE OF data ON events FOR EACH ROW EXECUTE FUNCTION recount_event();

ALTER TABLE heads ADD COLUMN counted BIGINT NOT NULL DEFAULT 0; -- the version up to which events are counted
ALTER TABLE heads ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;   -- of these events
ALTER TABLE sweeps ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;  -- the bound of a log; 0: none

-- +goose Down
DROP TRIGGER events_replaced ON events;
DROP TRIGGER events_removed ON events;
DROP FUNCTION recount_event();
DROP FUNCTION uncount_events();
ALTER TABLE sweeps DROP COLUMN bytes;
ALTER TABLE heads DROP COLUMN bytes;
ALTER TABLE heads DROP COLUMN counted;
