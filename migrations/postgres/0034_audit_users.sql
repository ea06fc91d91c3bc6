-- The users whom an audit entry names beside its actor and its user.

-- +goose Up
CREATE TABLE audit_users (
    user_id  TEXT COLLATE "C" NOT NULL,
    entry_id TEXT COLLATE "C" NOT NULL REFERENCES audit (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, entry_id)
);
CREATE INDEX audit_users_entry_id ON audit_users (entry_id);

-- It reads the JSON as text: PostgreSQL refuses some that is valid. Ids that JSON escapes
-- are left out. A name that is found in attributes does no harm.
INSERT INTO audit_users (user_id, entry_id)
    SELECT DISTINCT f.match[1], a.id FROM audit a, (VALUES (1), (2)) side (n),
        LATERAL regexp_matches(CASE side.n WHEN 1 THEN a.before ELSE a.after END,
            '"(?:userId|actor|ownerId|invitedBy|createdBy|editedBy)":"([^"\\]+)"', 'g') f (match)
    WHERE f.match[1] NOT IN (a.user_id, a.actor);

-- +goose Down
DROP TABLE audit_users;
