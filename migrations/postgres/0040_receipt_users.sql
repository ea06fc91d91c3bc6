-- The users whom an answer under an idempotency key names beside the one who got it. From
-- this step on, receipts have a hash in place of the key, which may contain anybody's id.

-- +goose Up
DELETE FROM receipts; -- nobody would find them: their requests count as new ones

CREATE TABLE receipt_users (
    user_id TEXT COLLATE "C" NOT NULL,
    owner   TEXT COLLATE "C" NOT NULL, -- user_id of the receipt
    key     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, owner, key),
    FOREIGN KEY (owner, key) REFERENCES receipts (user_id, key) ON DELETE CASCADE
);
CREATE INDEX receipt_users_receipt ON receipt_users (owner, key);

-- +goose Down
DROP TABLE receipt_users;
DELETE FROM receipts;
