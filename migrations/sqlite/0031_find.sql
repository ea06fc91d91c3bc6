-- How back ends find groups: by attributes, by number of members, and by name, private
-- groups, too.

-- +goose Up
-- Strings, numbers and booleans among the attributes of groups that are not deleted.
CREATE TABLE group_attributes (
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (key, value, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_attributes_group_id ON group_attributes (group_id);
INSERT OR IGNORE INTO group_attributes (key, value, group_id)
    SELECT a.key, CASE a.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(a.value AS TEXT) END, g.id
    FROM groups g, json_each(g.attributes) a
    WHERE g.deleted_at IS NULL AND g.attributes <> '{}' AND a.type IN ('text', 'integer', 'real', 'true', 'false')
    AND length(CAST(a.key AS BLOB)) <= 128 AND length(CAST(a.value AS BLOB)) <= 256;

-- The number of members changes with joins, and is indexed. Triggers keep it.
CREATE TABLE group_sizes (
    group_id TEXT NOT NULL PRIMARY KEY, -- the row goes when the group is deleted
    members  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO group_sizes (group_id, members) SELECT id, member_count FROM groups WHERE deleted_at IS NULL;
CREATE INDEX group_sizes_members ON group_sizes (members, group_id);
-- +goose StatementBegin
CREATE TRIGGER groups_size_added AFTER INSERT ON groups WHEN NEW.deleted_at IS NULL BEGIN
    INSERT INTO group_sizes (group_id, members) VALUES (NEW.id, NEW.member_count);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_size_set AFTER UPDATE OF member_count ON groups WHEN OLD.member_count <> NEW.member_count BEGIN
    UPDATE group_sizes SET members = NEW.member_count WHERE group_id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_search_left AFTER UPDATE OF deleted_at ON groups WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL BEGIN
    DELETE FROM group_sizes WHERE group_id = NEW.id;
    DELETE FROM group_attributes WHERE group_id = NEW.id;
END;
-- +goose StatementEnd

-- Words of private names begin with P, which is no hexadecimal digit.
INSERT INTO searches (group_id) SELECT id FROM groups WHERE visibility <> 'public' AND deleted_at IS NULL;
INSERT INTO search_grams (rowid, grams)
    SELECT s.n, (SELECT group_concat('P' || hex(substr(g.search, i, 1)) || ' P' || hex(substr(g.search, i, 2)), ' ') FROM positions WHERE i <= length(g.search))
    FROM groups g JOIN searches s ON s.group_id = g.id WHERE g.visibility <> 'public' AND g.deleted_at IS NULL;
DROP TRIGGER search_update;
DROP TRIGGER search_insert;
-- +goose StatementBegin
CREATE TRIGGER search_insert AFTER INSERT ON groups WHEN NEW.deleted_at IS NULL BEGIN
    INSERT INTO searches (group_id) VALUES (NEW.id);
    INSERT INTO search_grams (rowid, grams) SELECT n,
        (SELECT group_concat(p || hex(substr(NEW.search, i, 1)) || ' ' || p || hex(substr(NEW.search, i, 2)), ' ') FROM positions, (SELECT CASE NEW.visibility WHEN 'public' THEN '' ELSE 'P' END AS p) WHERE i <= length(NEW.search))
        FROM searches WHERE group_id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER search_update AFTER UPDATE OF search, visibility, deleted_at ON groups
WHEN OLD.search <> NEW.search OR OLD.visibility <> NEW.visibility OR OLD.deleted_at IS NOT NEW.deleted_at BEGIN
    DELETE FROM search_grams WHERE rowid = (SELECT n FROM searches WHERE group_id = OLD.id);
    DELETE FROM searches WHERE group_id = OLD.id;
    INSERT INTO searches (group_id) SELECT NEW.id WHERE NEW.deleted_at IS NULL;
    INSERT INTO search_grams (rowid, grams) SELECT n,
        (SELECT group_concat(p || hex(substr(NEW.search, i, 1)) || ' ' || p || hex(substr(NEW.search, i, 2)), ' ') FROM positions, (SELECT CASE NEW.visibility WHEN 'public' THEN '' ELSE 'P' END AS p) WHERE i <= length(NEW.search))
        FROM searches WHERE group_id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER search_update;
DROP TRIGGER search_insert;
DELETE FROM search_grams WHERE rowid IN (SELECT s.n FROM searches s JOIN groups g ON g.id = s.group_id WHERE g.visibility <> 'public');
DELETE FROM searches WHERE group_id IN (SELECT id FROM groups WHERE visibility <> 'public');
-- +goose StatementBegin
CREATE TRIGGER search_insert AFTER INSERT ON groups WHEN NEW.visibility = 'public' AND NEW.deleted_at IS NULL BEGIN
    INSERT INTO searches (group_id) VALUES (NEW.id);
    INSERT INTO search_grams (rowid, grams) SELECT n,
        (SELECT group_concat(hex(substr(NEW.search, i, 1)) || ' ' || hex(substr(NEW.search, i, 2)), ' ') FROM positions WHERE i <= length(NEW.search))
        FROM searches WHERE group_id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER search_update AFTER UPDATE OF search, visibility, deleted_at ON groups
WHEN OLD.search <> NEW.search OR OLD.visibility <> NEW.visibility OR OLD.deleted_at IS NOT NEW.deleted_at BEGIN
    DELETE FROM search_grams WHERE rowid = (SELECT n FROM searches WHERE group_id = OLD.id);
    DELETE FROM searches WHERE group_id = OLD.id;
    INSERT INTO searches (group_id) SELECT NEW.id WHERE NEW.visibility = 'public' AND NEW.deleted_at IS NULL;
    INSERT INTO search_grams (rowid, grams) SELECT n,
        (SELECT group_concat(hex(substr(NEW.search, i, 1)) || ' ' || hex(substr(NEW.search, i, 2)), ' ') FROM positions WHERE i <= length(NEW.search))
        FROM searches WHERE group_id = NEW.id;
END;
-- +goose StatementEnd
DROP TRIGGER groups_search_left;
DROP TRIGGER groups_size_set;
DROP TRIGGER groups_size_added;
DROP TABLE group_sizes;
DROP TABLE group_attributes;
