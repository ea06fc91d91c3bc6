-- What hooks that chose presence are still to be told. Without such a hook, nothing is here.

-- +goose Up
ALTER TABLE hooks ADD COLUMN presence INTEGER NOT NULL DEFAULT 0; -- some of its patterns are types of presence

-- A group with rows in hook_presence. Who changes those, or hook_presence_groups, locks
-- this row first.
CREATE TABLE hook_presence_heads (
    group_id TEXT NOT NULL PRIMARY KEY,
    head     INTEGER NOT NULL, -- the largest n
    check_at INTEGER NOT NULL  -- when to compare the rows with who is present
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_presence_heads_check_at ON hook_presence_heads (check_at);

-- The last change of each user in a group. n orders the changes of a group. A user who is
-- offline has a row until each hook was told.
CREATE TABLE hook_presence (
    group_id TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    n        INTEGER NOT NULL,
    online   INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- of the change, by the clock of the presence store
    seen_at  INTEGER NOT NULL, -- when the user was last reported so, by the same clock
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_presence_n ON hook_presence (group_id, n);

-- What each hook is still to be told of a group: the changes after version. Its columns
-- are those of hook_groups; version, head and upto are values of n.
CREATE TABLE hook_presence_groups (
    group_id    TEXT NOT NULL,
    hook_id     TEXT NOT NULL,
    version     INTEGER NOT NULL,
    head        INTEGER NOT NULL,
    upto        INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    behind_at   INTEGER NOT NULL,
    claim       INTEGER NOT NULL,
    claimed     INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    failed_at   INTEGER,
    unreachable INTEGER NOT NULL,
    parked_at   INTEGER,
    status      INTEGER NOT NULL,
    problem     TEXT NOT NULL,
    PRIMARY KEY (group_id, hook_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_presence_groups_due_at ON hook_presence_groups (hook_id, due_at, group_id);

-- +goose Down
DROP TABLE hook_presence_groups;
DROP TABLE hook_presence;
DROP TABLE hook_presence_heads;
ALTER TABLE hooks DROP COLUMN presence;
