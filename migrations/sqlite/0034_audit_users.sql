-- The users whom an audit entry names beside its actor and its user.

-- +goose Up
CREATE TABLE audit_users (
    user_id  TEXT NOT NULL,
    entry_id TEXT NOT NULL REFERENCES audit (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, entry_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_users_entry_id ON audit_users (entry_id);

-- SQLite does not read JSON that is very deep: such entries are left out.
INSERT INTO audit_users (user_id, entry_id)
    SELECT DISTINCT f.value, a.id FROM audit a,
        json_each(CASE WHEN json_valid(a.before) AND json_valid(a.after) THEN json_array(json(a.before), json(a.after)) ELSE '[]' END) s,
        json_each(s.value) k,
        json_each(CASE k.type WHEN 'array' THEN k.value WHEN 'object' THEN json_array(json(k.value)) ELSE '[]' END) r,
        json_each(CASE r.type WHEN 'object' THEN r.value ELSE '{}' END) f
    WHERE f.key IN ('userId', 'actor', 'ownerId', 'invitedBy', 'createdBy', 'editedBy') AND f.type = 'text' AND f.value NOT IN ('', a.user_id, a.actor);

-- +goose Down
DROP TABLE audit_users;
