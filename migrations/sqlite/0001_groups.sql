-- Instants are microseconds since 1970 UTC; JSON, ids and names are TEXT.

-- +goose Up
CREATE TABLE deployment (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id         TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE groups (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    search        TEXT NOT NULL, -- the name as it is searched: normalized, lower case
    description   TEXT NOT NULL,
    visibility    TEXT NOT NULL,
    join_policy   TEXT NOT NULL,
    capacity      INTEGER,
    attributes    TEXT NOT NULL,
    member_count  INTEGER NOT NULL CHECK (member_count >= 0),
    owner_id      TEXT NOT NULL,
    version       INTEGER NOT NULL,
    revision      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    ends_at       INTEGER,
    ended_at      INTEGER,
    remind_before TEXT,
    deleted_at    INTEGER,
    moved_at      INTEGER NOT NULL -- the database's clock at the last event
) STRICT;
CREATE INDEX groups_moved_at ON groups (moved_at);
CREATE INDEX groups_public ON groups (id DESC) WHERE visibility = 'public' AND deleted_at IS NULL;

CREATE TABLE members (
    group_id   TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    attributes TEXT NOT NULL,
    joined_at  INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_user_id ON members (user_id, group_id DESC);

-- Only a transaction that holds the lock on the group's row inserts here, so no foreign key
-- is needed.
CREATE TABLE events (
    group_id TEXT NOT NULL,
    version  INTEGER NOT NULL,
    type     TEXT NOT NULL,
    actor    TEXT,
    data     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (group_id, version)
) STRICT, WITHOUT ROWID;

-- Committed events that are not known to be published.
CREATE TABLE outbox (
    group_id   TEXT NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL, -- the database's clock
    PRIMARY KEY (group_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_created_at ON outbox (created_at);

-- +goose Down
DROP TABLE outbox;
DROP TABLE events;
DROP TABLE members;
DROP TABLE groups;
DROP TABLE deployment;
