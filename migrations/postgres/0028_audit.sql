-- What back ends changed.

-- +goose Up
CREATE TABLE audit (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- begins with the milliseconds of at
    at         BIGINT NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    via        TEXT NOT NULL,
    action     TEXT NOT NULL,
    group_id   TEXT COLLATE "C" NOT NULL, -- empty: none
    user_id    TEXT COLLATE "C" NOT NULL, -- empty: none, or several
    before     TEXT NOT NULL, -- JSON
    after      TEXT NOT NULL,
    request_id TEXT NOT NULL -- empty: none
);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_group_id ON audit (group_id, id);
CREATE INDEX audit_user_id ON audit (user_id, id);

-- +goose Down
DROP TABLE audit;
