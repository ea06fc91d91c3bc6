-- A user's row counts the groups that they are in and own, so that a limit is
-- checked without counting. Triggers keep the counts, whoever writes: a node of
-- the version before, too.

-- +goose Up
-- False once the group is deleted: the row is then kept for its log's readers.
ALTER TABLE members ADD COLUMN live BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE user_locks ADD COLUMN joined BIGINT NOT NULL DEFAULT 0;
ALTER TABLE user_locks ADD COLUMN owned BIGINT NOT NULL DEFAULT 0;

UPDATE members SET live = FALSE FROM groups g WHERE g.id = members.group_id AND g.deleted_at IS NOT NULL;
INSERT INTO user_locks (user_id, joined, owned)
    SELECT user_id, COUNT(*), COUNT(CASE WHEN role = 'owner' THEN 1 END) FROM members WHERE live GROUP BY user_id
    ON CONFLICT (user_id) DO UPDATE SET joined = excluded.joined, owned = excluded.owned;

CREATE INDEX members_of_user ON members (user_id, live, group_id DESC);
DROP INDEX members_user_id;

-- +goose StatementBegin
CREATE FUNCTION tally_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        IF OLD.live THEN
            UPDATE user_locks SET joined = joined - 1, owned = owned - CASE OLD.role WHEN 'owner' THEN 1 ELSE 0 END
                WHERE user_id = OLD.user_id;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.live THEN
            INSERT INTO user_locks (user_id, joined, owned) VALUES (NEW.user_id, 1, CASE NEW.role WHEN 'owner' THEN 1 ELSE 0 END)
                ON CONFLICT (user_id) DO UPDATE SET joined = user_locks.joined + 1, owned = user_locks.owned + excluded.owned;
        END IF;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER members_come_and_go AFTER INSERT OR DELETE ON members FOR EACH ROW EXECUTE FUNCTION tally_member();
CREATE TRIGGER members_change AFTER UPDATE OF role, live ON members FOR EACH ROW
    WHEN (OLD.role <> NEW.role OR OLD.live <> NEW.live) EXECUTE FUNCTION tally_member();

-- +goose Down
DROP TRIGGER members_change ON members;
DROP TRIGGER members_come_and_go ON members;
DROP FUNCTION tally_member();
CREATE INDEX members_user_id ON members (user_id, group_id DESC);
DROP INDEX members_of_user;
ALTER TABLE user_locks DROP COLUMN owned;
ALTER TABLE user_locks DROP COLUMN joined;
ALTER TABLE members DROP COLUMN live;
