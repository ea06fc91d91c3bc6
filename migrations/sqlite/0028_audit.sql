-- What back ends changed.

-- +goose Up
CREATE TABLE audit (
    id         TEXT NOT NULL PRIMARY KEY, -- begins with the milliseconds of at
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    via        TEXT NOT NULL,
    action     TEXT NOT NULL,
    group_id   TEXT NOT NULL, -- empty: none
    user_id    TEXT NOT NULL, -- empty: none, or several
    before     TEXT NOT NULL, -- JSON
    after      TEXT NOT NULL,
    request_id TEXT NOT NULL -- empty: none
) STRICT;
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_group_id ON audit (group_id, id);
CREATE INDEX audit_user_id ON audit (user_id, id);

-- +goose Down
DROP TABLE audit;
