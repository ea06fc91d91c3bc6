-- A user's row counts the groups that they are in and own, so that a limit is
-- checked without counting. Triggers keep the counts, whoever writes.

-- +goose Up
CREATE TABLE user_locks (
    user_id TEXT NOT NULL PRIMARY KEY,
    joined  INTEGER NOT NULL DEFAULT 0,
    owned   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
-- False once the group is deleted: the row is then kept for its log's readers.
ALTER TABLE members ADD COLUMN live INTEGER NOT NULL DEFAULT TRUE;

UPDATE members SET live = FALSE FROM groups AS g WHERE g.id = members.group_id AND g.deleted_at IS NOT NULL;
INSERT INTO user_locks (user_id, joined, owned)
    SELECT user_id, COUNT(*), COUNT(CASE WHEN role = 'owner' THEN 1 END) FROM members WHERE live GROUP BY user_id;

CREATE INDEX members_of_user ON members (user_id, live, group_id DESC);
DROP INDEX members_user_id;

-- +goose StatementBegin
CREATE TRIGGER members_come AFTER INSERT ON members WHEN NEW.live BEGIN
    INSERT INTO user_locks (user_id, joined, owned) VALUES (NEW.user_id, 1, NEW.role = 'owner')
        ON CONFLICT (user_id) DO UPDATE SET joined = joined + 1, owned = owned + excluded.owned;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER members_go AFTER DELETE ON members WHEN OLD.live BEGIN
    UPDATE user_locks SET joined = joined - 1, owned = owned - (OLD.role = 'owner') WHERE user_id = OLD.user_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER members_change AFTER UPDATE OF role, live ON members WHEN OLD.role <> NEW.role OR OLD.live <> NEW.live BEGIN
    UPDATE user_locks SET joined = joined - OLD.live + NEW.live,
        owned = owned - (OLD.live AND OLD.role = 'owner') + (NEW.live AND NEW.role = 'owner') WHERE user_id = NEW.user_id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER members_change;
DROP TRIGGER members_go;
DROP TRIGGER members_come;
CREATE INDEX members_user_id ON members (user_id, group_id DESC);
DROP INDEX members_of_user;
ALTER TABLE members DROP COLUMN live;
DROP TABLE user_locks;
