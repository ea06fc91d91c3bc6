-- What changes with the events of a group, and is indexed, has a table of its own:
-- an event then changes no index of groups. Triggers keep it.

-- +goose Up
CREATE TABLE heads (
    group_id TEXT NOT NULL PRIMARY KEY REFERENCES groups (id) ON DELETE CASCADE,
    moved_at INTEGER NOT NULL, -- as the group's, or up to a second less
    due_at   INTEGER           -- when a sweep looks at the group; null: not before its next event
) STRICT, WITHOUT ROWID;

-- The node that sweeps, and what it keeps. Instants are the database's clock.
CREATE TABLE sweeps (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    holder      TEXT NOT NULL,
    until       INTEGER NOT NULL,
    count       INTEGER,
    age         INTEGER,
    kept        INTEGER,
    rearm_after TEXT -- the groups behind this one are to be looked at again; null: none
) STRICT;
INSERT INTO sweeps (one, holder, until) VALUES (1, '', 0);

INSERT INTO heads (group_id, moved_at, due_at) SELECT id, moved_at, moved_at FROM groups;
CREATE INDEX heads_moved_at ON heads (moved_at);
CREATE INDEX heads_due_at ON heads (due_at) WHERE due_at IS NOT NULL;
DROP INDEX groups_moved_at;

-- +goose StatementBegin
CREATE TRIGGER groups_insert AFTER INSERT ON groups BEGIN
    INSERT INTO heads (group_id, moved_at, due_at) VALUES (NEW.id, NEW.moved_at, NEW.moved_at);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_move AFTER UPDATE OF version ON groups BEGIN
    UPDATE heads SET moved_at = NEW.moved_at, due_at = COALESCE(due_at, NEW.moved_at)
        WHERE group_id = NEW.id AND (moved_at < NEW.moved_at - 1000000 OR due_at IS NULL);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_deleted AFTER UPDATE OF deleted_at ON groups WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL BEGIN
    UPDATE heads SET due_at = NEW.deleted_at WHERE group_id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER groups_deleted;
DROP TRIGGER groups_move;
DROP TRIGGER groups_insert;
CREATE INDEX groups_moved_at ON groups (moved_at);
DROP TABLE sweeps;
DROP TABLE heads;
