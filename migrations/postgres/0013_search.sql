-- Search finds public groups by the pairs of characters in their names, and by
-- single characters for a query of one.

-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION search_grams(search TEXT) RETURNS TEXT[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_to_array(search, NULL) || ARRAY(SELECT substr(search, i, 2) FROM generate_series(1, char_length(search) - 1) i)
$$;
-- +goose StatementEnd
-- Without fastupdate, a search never reads a list of what is to be added.
CREATE INDEX groups_search ON groups USING gin (search_grams(search)) WITH (fastupdate = off)
    WHERE visibility = 'public' AND deleted_at IS NULL;

-- +goose Down
DROP INDEX groups_search;
DROP FUNCTION search_grams(TEXT);
