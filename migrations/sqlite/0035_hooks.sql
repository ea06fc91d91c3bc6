-- Hooks: where events are sent to, and how far each group's log has been sent.

-- +goose Up
-- An event marks its group. The node takes the mark and makes the group due for every
-- hook, in one transaction. A group that is marked already costs its next event nothing:
-- without hooks, nobody takes a mark.
ALTER TABLE heads ADD COLUMN hook_at INTEGER; -- when the mark was set; null: no event since it was taken
CREATE INDEX heads_hook_at ON heads (hook_at) WHERE hook_at IS NOT NULL;
DROP TRIGGER groups_insert;
DROP TRIGGER groups_move;
-- +goose StatementBegin
CREATE TRIGGER groups_insert AFTER INSERT ON groups BEGIN
    INSERT INTO heads (group_id, moved_at, due_at, hook_at) VALUES (NEW.id, NEW.moved_at, NEW.moved_at, NEW.moved_at);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_move AFTER UPDATE OF version ON groups BEGIN
    UPDATE heads SET moved_at = MAX(moved_at, NEW.moved_at), due_at = COALESCE(due_at, NEW.moved_at), hook_at = COALESCE(hook_at, NEW.moved_at)
        WHERE group_id = NEW.id AND (moved_at < NEW.moved_at - 1000000 OR due_at IS NULL OR hook_at IS NULL);
END;
-- +goose StatementEnd

-- Instants are the database's clock.
CREATE TABLE hooks (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    source        TEXT NOT NULL, -- api, file or program
    url           TEXT NOT NULL, -- empty: a function of the program
    events        TEXT NOT NULL, -- JSON, a list of patterns
    secret        TEXT NOT NULL,
    secret_before TEXT NOT NULL, -- also signs until rotated_at + a day
    rotated_at    INTEGER NOT NULL,
    since_at      INTEGER NOT NULL, -- events of this instant or later are sent
    enabled       INTEGER NOT NULL,
    problem       TEXT NOT NULL,   -- why it is disabled
    paused_until  INTEGER NOT NULL, -- as the receiver asked
    scan_after    TEXT, -- the groups behind this one are to be sent again; null: none
    scan_since    INTEGER NOT NULL,  -- events of this instant or later
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    deleted_at    INTEGER -- its rows of hook_groups go first
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX hooks_name ON hooks (name) WHERE deleted_at IS NULL;

-- How far a hook is in the log of a group. Only groups that had an event since the hook
-- began have a row.
CREATE TABLE hook_groups (
    group_id     TEXT NOT NULL,
    hook_id      TEXT NOT NULL,
    version      INTEGER NOT NULL, -- events up to this one were answered
    head         INTEGER NOT NULL, -- of the log, when the mark was taken
    upto         INTEGER NOT NULL, -- the last event of the delivery that is being tried; at most version: none
    due_at       INTEGER,          -- when a node sends the next delivery, or the claim ends; null: nothing is to be sent
    behind_at    INTEGER,          -- since when there has been something to be sent
    claim        INTEGER NOT NULL, -- counts the claims
    claimed      INTEGER NOT NULL,
    attempts     INTEGER NOT NULL, -- that failed since the last success
    failed_at    INTEGER,           -- the first of these
    unreachable  INTEGER NOT NULL, -- whether the last one failed because of the receiver, whatever the group
    parked_at    INTEGER,           -- due_at is then the largest number
    status       INTEGER NOT NULL, -- of the last answer; 0: none
    problem      TEXT NOT NULL,    -- of the last attempt
    gap          INTEGER NOT NULL, -- events were removed before they were sent, and the hook was not told yet
    seek_at      INTEGER,           -- go to the first event of this instant or later
    seek_version INTEGER,           -- go to the event after this one
    PRIMARY KEY (group_id, hook_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_groups_due_at ON hook_groups (hook_id, due_at, group_id) WHERE due_at IS NOT NULL;

-- +goose Down
DROP TABLE hook_groups;
DROP TABLE hooks;
DROP TRIGGER groups_insert;
DROP TRIGGER groups_move;
DROP INDEX heads_hook_at;
ALTER TABLE heads DROP COLUMN hook_at;
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
