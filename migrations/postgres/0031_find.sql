-- How back ends find groups: by attributes, by number of members, and by name, private
-- groups, too.

-- +goose Up
-- Strings, numbers and booleans among the attributes of groups that are not deleted.
CREATE TABLE group_attributes (
    key      TEXT COLLATE "C" NOT NULL,
    value    TEXT COLLATE "C" NOT NULL,
    group_id TEXT COLLATE "C" NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (key, value, group_id)
);
CREATE INDEX group_attributes_group_id ON group_attributes (group_id);
-- PostgreSQL's JSON knows no NUL and no half of a surrogate pair. Attributes with one are
-- found after their next change.
-- +goose StatementBegin
DO $$
DECLARE g RECORD;
BEGIN
    FOR g IN SELECT id, attributes FROM groups WHERE deleted_at IS NULL AND attributes <> '{}' LOOP
        BEGIN
            INSERT INTO group_attributes (key, value, group_id) SELECT a.key, a.value #>> '{}', g.id FROM json_each(CAST(g.attributes AS json)) a
                WHERE json_typeof(a.value) IN ('string', 'number', 'boolean') AND octet_length(a.key) <= 128 AND octet_length(a.value #>> '{}') <= 256
                LIMIT 64 ON CONFLICT DO NOTHING;
        EXCEPTION WHEN data_exception THEN NULL;
        END;
    END LOOP;
END $$;
-- +goose StatementEnd

-- The number of members changes with joins, and is indexed: an index of groups would make
-- each join write all indexes of the group's row. Triggers keep it.
CREATE TABLE group_sizes (
    group_id TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- the row goes when the group is deleted
    members  INTEGER NOT NULL
) WITH (fillfactor = 70);
-- +goose StatementBegin
CREATE FUNCTION add_size() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO group_sizes (group_id, members) VALUES (NEW.id, NEW.member_count);
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION set_size() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE group_sizes SET members = NEW.member_count WHERE group_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION leave_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM group_sizes WHERE group_id = NEW.id;
    DELETE FROM group_attributes WHERE group_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER groups_size_added AFTER INSERT ON groups FOR EACH ROW WHEN (NEW.deleted_at IS NULL) EXECUTE FUNCTION add_size();
CREATE TRIGGER groups_size_set AFTER UPDATE OF member_count ON groups FOR EACH ROW
    WHEN (OLD.member_count <> NEW.member_count) EXECUTE FUNCTION set_size();
CREATE TRIGGER groups_search_left AFTER UPDATE OF deleted_at ON groups FOR EACH ROW
    WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION leave_search();
INSERT INTO group_sizes (group_id, members) SELECT id, member_count FROM groups WHERE deleted_at IS NULL;
CREATE INDEX group_sizes_members ON group_sizes (members, group_id);

CREATE INDEX groups_search_private ON groups USING gin (search_grams(search)) WITH (fastupdate = off)
    WHERE visibility <> 'public' AND deleted_at IS NULL;

-- +goose Down
DROP INDEX groups_search_private;
DROP TRIGGER groups_search_left ON groups;
DROP TRIGGER groups_size_set ON groups;
DROP TRIGGER groups_size_added ON groups;
DROP FUNCTION leave_search();
DROP FUNCTION set_size();
DROP FUNCTION add_size();
DROP TABLE group_sizes;
DROP TABLE group_attributes;
