-- Groups that moim import wrote, and how far. An import that goes on, or is repeated,
-- writes nothing twice.

-- +goose Up
CREATE TABLE imports (
    group_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES groups (id) ON DELETE CASCADE,
    source   TEXT NOT NULL,    -- the group's id in the file
    owner    BOOLEAN NOT NULL, -- whether the owner's own line was written
    at       BIGINT NOT NULL,  -- the time of the last message that was written, as the file has it; 0: none
    n        BIGINT NOT NULL   -- how many messages of that time were written
);

-- +goose Down
DROP TABLE imports;
