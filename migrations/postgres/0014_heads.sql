-- What changes with the events of a group, and is indexed, has a table of its own:
-- an event then changes no index of groups. Triggers keep it, whoever writes: a
-- node of the version before, too.

-- +goose Up
CREATE TABLE heads (
    group_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES groups (id) ON DELETE CASCADE,
    moved_at BIGINT NOT NULL, -- as the group's, or up to a second less
    due_at   BIGINT           -- when a sweep looks at the group; null: not before its next event
) WITH (fillfactor = 70);

-- The node that sweeps, and what it keeps. Instants are the database's clock.
CREATE TABLE sweeps (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    holder      TEXT NOT NULL,
    until       BIGINT NOT NULL,
    count       BIGINT,
    age         BIGINT,
    kept        BIGINT,
    rearm_after TEXT COLLATE "C" -- the groups behind this one are to be looked at again; null: none
);
INSERT INTO sweeps (one, holder, until) VALUES (1, '', 0);

-- +goose StatementBegin
CREATE FUNCTION move_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO heads AS h (group_id, moved_at, due_at) VALUES (NEW.id, NEW.moved_at, NEW.moved_at)
        ON CONFLICT (group_id) DO UPDATE SET moved_at = excluded.moved_at, due_at = COALESCE(h.due_at, excluded.due_at)
        WHERE h.moved_at < excluded.moved_at - 1000000 OR h.due_at IS NULL;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION delete_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE heads SET due_at = NEW.deleted_at WHERE group_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER groups_move AFTER INSERT OR UPDATE OF version ON groups FOR EACH ROW EXECUTE FUNCTION move_head();
CREATE TRIGGER groups_deleted AFTER UPDATE OF deleted_at ON groups FOR EACH ROW
    WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION delete_head();

INSERT INTO heads (group_id, moved_at, due_at) SELECT id, moved_at, moved_at FROM groups;
CREATE INDEX heads_moved_at ON heads (moved_at);
CREATE INDEX heads_due_at ON heads (due_at) WHERE due_at IS NOT NULL;
DROP INDEX groups_moved_at;
-- Room on each page for the next version of a row.
ALTER TABLE groups SET (fillfactor = 85);

-- +goose Down
ALTER TABLE groups RESET (fillfactor);
CREATE INDEX groups_moved_at ON groups (moved_at);
DROP TRIGGER groups_deleted ON groups;
DROP TRIGGER groups_move ON groups;
DROP FUNCTION delete_head();
DROP FUNCTION move_head();
DROP TABLE sweeps;
DROP TABLE heads;
