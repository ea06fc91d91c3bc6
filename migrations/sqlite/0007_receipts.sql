-- +goose Up
-- The answers to changes that were requested with an idempotency key.
CREATE TABLE receipts (
    user_id TEXT NOT NULL,
    key     TEXT NOT NULL,
    request TEXT NOT NULL, -- hash of the request
    answer  TEXT NOT NULL,
    at      INTEGER NOT NULL, -- the database's clock
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_at ON receipts (at);

-- +goose Down
DROP TABLE receipts;
