-- Jobs that erase users, and where to look for what is kept about a user.

-- +goose Up
CREATE TABLE erasures (
    id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id            TEXT COLLATE "C", -- null when the job is done
    stage              INTEGER NOT NULL,
    place              TEXT COLLATE "C" NOT NULL, -- how far the stage is: a group, or a key
    version            BIGINT NOT NULL,           -- how far the log of that group is blanked
    until              BIGINT NOT NULL, -- the claim of the node that works on it; instants are the database's clock
    started_at         BIGINT NOT NULL,
    finished_at        BIGINT,
    groups_left        BIGINT NOT NULL DEFAULT 0,
    groups_handed_over BIGINT NOT NULL DEFAULT 0,
    groups_ended       BIGINT NOT NULL DEFAULT 0,
    messages_blanked   BIGINT NOT NULL DEFAULT 0,
    events_blanked     BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX erasures_user_id ON erasures (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX erasures_until ON erasures (until) WHERE finished_at IS NULL;
CREATE INDEX erasures_finished_at ON erasures (finished_at) WHERE finished_at IS NOT NULL;

-- The groups that know a user, or ever did. Their logs may name the user. Triggers keep
-- it, whoever writes: a node of the version before, too. Only a transaction that holds the
-- group's row inserts here: that is what makes a foreign key needless.
CREATE TABLE traces (
    group_id TEXT COLLATE "C" NOT NULL,
    user_id  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, user_id)
);

-- +goose StatementBegin
CREATE FUNCTION trace_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO traces (group_id, user_id) SELECT group_id, user_id FROM added ON CONFLICT (group_id, user_id) DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER members_traced AFTER INSERT ON members REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trace_users();
CREATE TRIGGER bans_traced AFTER INSERT ON bans REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trace_users();
CREATE TRIGGER mutes_traced AFTER INSERT ON mutes REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trace_users();
CREATE TRIGGER requests_traced AFTER INSERT ON requests REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trace_users();
CREATE TRIGGER invitations_traced AFTER INSERT ON invitations REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trace_users();

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
-- Those whom only the log knows. jsonb cannot hold \u0000.
INSERT INTO traces (group_id, user_id) SELECT DISTINCT group_id, CAST(data AS jsonb) ->> 'userId' FROM events
    WHERE {rows} AND type IN ('member.left', 'member.removed', 'member.banned', 'member.muted', 'member.invited', 'request.rejected', 'request.withdrawn')
    AND data NOT LIKE '%\\u0000%' AND CAST(data AS jsonb) ->> 'userId' IS NOT NULL ON CONFLICT (group_id, user_id) DO NOTHING;

-- +moim index events_actor
CREATE INDEX CONCURRENTLY events_actor ON events (actor, group_id, version) WHERE actor IS NOT NULL;

-- +goose Down
DROP INDEX events_actor;
DROP TRIGGER invitations_traced ON invitations;
DROP TRIGGER requests_traced ON requests;
DROP TRIGGER mutes_traced ON mutes;
DROP TRIGGER bans_traced ON bans;
DROP TRIGGER members_traced ON members;
DROP FUNCTION trace_users();
DROP TABLE traces;
DROP TABLE erasures;
