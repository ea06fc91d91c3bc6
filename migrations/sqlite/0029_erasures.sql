-- Jobs that erase users, and where to look for what is kept about a user.

-- +goose Up
CREATE TABLE erasures (
    id                 TEXT NOT NULL PRIMARY KEY,
    user_id            TEXT, -- null when the job is done
    stage              INTEGER NOT NULL,
    place              TEXT NOT NULL,    -- how far the stage is: a group, or a key
    version            INTEGER NOT NULL, -- how far the log of that group is blanked
    until              INTEGER NOT NULL, -- the claim of the node that works on it; instants are the database's clock
    started_at         INTEGER NOT NULL,
    finished_at        INTEGER,
    groups_left        INTEGER NOT NULL DEFAULT 0,
    groups_handed_over INTEGER NOT NULL DEFAULT 0,
    groups_ended       INTEGER NOT NULL DEFAULT 0,
    messages_blanked   INTEGER NOT NULL DEFAULT 0,
    events_blanked     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX erasures_user_id ON erasures (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX erasures_until ON erasures (until) WHERE finished_at IS NULL;
CREATE INDEX erasures_finished_at ON erasures (finished_at) WHERE finished_at IS NOT NULL;

-- The groups that know a user, or ever did. Their logs may name the user. Triggers keep
-- it, whoever writes.
CREATE TABLE traces (
    group_id TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER members_traced AFTER INSERT ON members BEGIN
    INSERT INTO traces (group_id, user_id) VALUES (NEW.group_id, NEW.user_id) ON CONFLICT (group_id, user_id) DO NOTHING;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER bans_traced AFTER INSERT ON bans BEGIN
    INSERT INTO traces (group_id, user_id) VALUES (NEW.group_id, NEW.user_id) ON CONFLICT (group_id, user_id) DO NOTHING;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER mutes_traced AFTER INSERT ON mutes BEGIN
    INSERT INTO traces (group_id, user_id) VALUES (NEW.group_id, NEW.user_id) ON CONFLICT (group_id, user_id) DO NOTHING;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER requests_traced AFTER INSERT ON requests BEGIN
    INSERT INTO traces (group_id, user_id) VALUES (NEW.group_id, NEW.user_id) ON CONFLICT (group_id, user_id) DO NOTHING;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER invitations_traced AFTER INSERT ON invitations BEGIN
    INSERT INTO traces (group_id, user_id) VALUES (NEW.group_id, NEW.user_id) ON CONFLICT (group_id, user_id) DO NOTHING;
END;
-- +goose StatementEnd

CREATE INDEX traces_user_id ON traces (user_id, group_id);

-- +moim rows members (group_id, user_id)
INSERT INTO traces (group_id, user_id) SELECT group_id, user_id FROM members WHERE {rows} ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim rows bans (group_id, user_id)
INSERT INTO traces (group_id, user_id) SELECT group_id, user_id FROM bans WHERE {rows} ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim rows mutes (group_id, user_id)
INSERT INTO traces (group_id, user_id) SELECT group_id, user_id FROM mutes WHERE {rows} ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim rows requests (group_id, user_id)
INSERT INTO traces (group_id, user_id) SELECT group_id, user_id FROM requests WHERE {rows} ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim rows invitations (group_id, user_id)
INSERT INTO traces (group_id, user_id) SELECT group_id, user_id FROM invitations WHERE {rows} ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim rows departures (group_id, user_id)
INSERT INTO traces (group_id, user_id) SELECT group_id, user_id FROM departures WHERE {rows} ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim rows events (group_id, version)
-- Those whom only the log knows.
INSERT INTO traces (group_id, user_id) SELECT group_id, json_extract(data, '$.userId') FROM events
    WHERE {rows} AND type IN ('member.left', 'member.removed', 'member.banned', 'member.muted', 'member.invited', 'request.rejected', 'request.withdrawn')
    AND json_extract(data, '$.userId') IS NOT NULL ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim index events_actor
CREATE INDEX events_actor ON events (actor, group_id, version) WHERE actor IS NOT NULL;

-- +goose Down
DROP INDEX events_actor;
DROP TRIGGER invitations_traced;
DROP TRIGGER requests_traced;
DROP TRIGGER mutes_traced;
DROP TRIGGER bans_traced;
DROP TRIGGER members_traced;
DROP TABLE traces;
DROP TABLE erasures;
