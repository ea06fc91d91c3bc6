-- Users whose tokens are refused if they were issued before an instant.

-- +goose Up
CREATE TABLE revocations (
  user_id TEXT COLLATE "C" PRIMARY KEY,
  before_at BIGINT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX revocations_at ON revocations (at);

-- +goose Down
DROP TABLE revocations;
