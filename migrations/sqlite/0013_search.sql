-- Search finds public groups by the pairs of characters in their names, and by
-- single characters for a query of one. Words of the index are those characters'
-- bytes in hexadecimal. searches names its rows: the implicit ids of groups change
-- with VACUUM.

-- +goose Up
CREATE TABLE searches (
    n        INTEGER PRIMARY KEY,
    group_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE VIRTUAL TABLE search_grams USING fts5(grams, content = '', contentless_delete = 1, detail = none, tokenize = ascii);
-- 1, 2, 3 … as far as a name is long: triggers have no recursion.
CREATE TABLE positions (i INTEGER PRIMARY KEY) STRICT;
INSERT INTO positions WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4096) SELECT i FROM n;

INSERT INTO searches (group_id) SELECT id FROM groups WHERE visibility = 'public' AND deleted_at IS NULL;
INSERT INTO search_grams (rowid, grams)
    SELECT s.n, (SELECT group_concat(hex(substr(g.search, i, 1)) || ' ' || hex(substr(g.search, i, 2)), ' ') FROM positions WHERE i <= length(g.search))
    FROM searches s JOIN groups g ON g.id = s.group_id;

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
-- +goose StatementBegin
CREATE TRIGGER search_delete AFTER DELETE ON groups BEGIN
    DELETE FROM search_grams WHERE rowid = (SELECT n FROM searches WHERE group_id = OLD.id);
    DELETE FROM searches WHERE group_id = OLD.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER search_delete;
DROP TRIGGER search_update;
DROP TRIGGER search_insert;
DROP TABLE positions;
DROP TABLE search_grams;
DROP TABLE searches;
