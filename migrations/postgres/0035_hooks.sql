-- Hooks: where events are sent to, and how far each group's log has been sent.

-- +goose Up
-- An event marks its group. A node takes the mark and makes the group due for every
-- hook, in one transaction. A group that is marked already costs its next event nothing:
-- without hooks, nobody takes a mark. The trigger locks the row of heads even if it changes
-- nothing there, so a mark is never taken between an event and its commit.
ALTER TABLE heads ADD COLUMN hook_at BIGINT; -- when the mark was set; null: no event since it was taken
CREATE INDEX heads_hook_at ON heads (hook_at) WHERE hook_at IS NOT NULL;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION move_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO heads AS h (group_id, moved_at, due_at, hook_at) VALUES (NEW.id, NEW.moved_at, NEW.moved_at, NEW.moved_at)
        ON CONFLICT (group_id) DO UPDATE SET moved_at = GREATEST(h.moved_at, excluded.moved_at),
            due_at = COALESCE(h.due_at, excluded.due_at), hook_at = COALESCE(h.hook_at, excluded.hook_at)
        WHERE h.moved_at < excluded.moved_at - 1000000 OR h.due_at IS NULL OR h.hook_at IS NULL;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Instants are the database's clock.
CREATE TABLE hooks (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL,
    source        TEXT NOT NULL, -- api, file or program
    url           TEXT NOT NULL, -- empty: a function of the program
    events        TEXT NOT NULL, -- JSON, a list of patterns
    secret        TEXT NOT NULL,
    secret_before TEXT NOT NULL, -- also signs until rotated_at + a day
    rotated_at    BIGINT NOT NULL,
    since_at      BIGINT NOT NULL, -- events of this instant or later are sent
    enabled       BOOLEAN NOT NULL,
    problem       TEXT NOT NULL,   -- why it is disabled
    paused_until  BIGINT NOT NULL, -- as the receiver asked
    scan_after    TEXT COLLATE "C", -- the groups behind this one are to be sent again; null: none
    scan_since    BIGINT NOT NULL,  -- events of this instant or later
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    deleted_at    BIGINT -- its rows of hook_groups go first
);
CREATE UNIQUE INDEX hooks_name ON hooks (name) WHERE deleted_at IS NULL;

-- How far a hook is in the log of a group. Only groups that had an event since the hook
-- began have a row.
CREATE TABLE hook_groups (
    group_id     TEXT COLLATE "C" NOT NULL,
    hook_id      TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL, -- events up to this one were answered
    head         BIGINT NOT NULL, -- of the log, when the mark was taken
    upto         BIGINT NOT NULL, -- the last event of the delivery that is being tried; at most version: none
    due_at       BIGINT,          -- when a node sends the next delivery, or the claim ends; null: nothing is to be sent
    behind_at    BIGINT,          -- since when there has been something to be sent
    claim        BIGINT NOT NULL, -- counts the claims
    claimed      BOOLEAN NOT NULL,
    attempts     INTEGER NOT NULL, -- that failed since the last success
    failed_at    BIGINT,           -- the first of these
    unreachable  BOOLEAN NOT NULL, -- whether the last one failed because of the receiver, whatever the group
    parked_at    BIGINT,           -- due_at is then the largest number
    status       INTEGER NOT NULL, -- of the last answer; 0: none
    problem      TEXT NOT NULL,    -- of the last attempt
    gap          BOOLEAN NOT NULL, -- events were removed before they were sent, and the hook was not told yet
    seek_at      BIGINT,           -- go to the first event of this instant or later
    seek_version BIGINT,           -- go to the event after this one
    PRIMARY KEY (group_id, hook_id)
) WITH (fillfactor = 70);
CREATE INDEX hook_groups_due_at ON hook_groups (hook_id, due_at, group_id) WHERE due_at IS NOT NULL;

-- +goose Down
DROP TABLE hook_groups;
DROP TABLE hooks;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION move_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO heads AS h (group_id, moved_at, due_at) VALUES (NEW.id, NEW.moved_at, NEW.moved_at)
        ON CONFLICT (group_id) DO UPDATE SET moved_at = excluded.moved_at, due_at = COALESCE(h.due_at, excluded.due_at)
        WHERE h.moved_at < excluded.moved_at - 1000000 OR h.due_at IS NULL;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP INDEX heads_hook_at;
ALTER TABLE heads DROP COLUMN hook_at;
