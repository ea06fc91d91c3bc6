-- The join requests of a user, newest group first.

-- +goose Up
CREATE INDEX requests_user_id ON requests (user_id, group_id DESC);

-- +goose Down
DROP INDEX requests_user_id;
