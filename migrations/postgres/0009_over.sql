-- +goose Up
-- The time from which an invite is invalid: when it expires, or was used up.
ALTER TABLE invites ADD COLUMN over_at BIGINT;
UPDATE invites SET over_at = CASE WHEN uses >= max_uses THEN created_at ELSE expires_at END;
CREATE INDEX invites_over_at ON invites (over_at) WHERE over_at IS NOT NULL;
CREATE INDEX bans_expires_at ON bans (expires_at) WHERE expires_at IS NOT NULL;

-- +goose Down
DROP INDEX bans_expires_at;
DROP INDEX invites_over_at;
ALTER TABLE invites DROP COLUMN over_at;
