-- Users who are invited to become members, and have not answered.

-- +goose Up
CREATE TABLE invitations (
    group_id   TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    at         INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_user_id ON invitations (user_id, group_id DESC);
CREATE INDEX invitations_expires_at ON invitations (expires_at);

-- Users who have left. They are not added again without an invitation.
CREATE TABLE departures (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE departures;
DROP TABLE invitations;
