-- Who banned, muted, invited or made an invite: where to look for users whom a group does
-- not know otherwise, because they acted as a back end or in another system.

-- +goose Up
CREATE INDEX bans_actor ON bans (actor, group_id);
CREATE INDEX mutes_actor ON mutes (actor, group_id);
CREATE INDEX invitations_invited_by ON invitations (invited_by, group_id);
CREATE INDEX invites_created_by ON invites (created_by, group_id);

-- +goose Down
DROP INDEX invites_created_by;
DROP INDEX invitations_invited_by;
DROP INDEX mutes_actor;
DROP INDEX bans_actor;
