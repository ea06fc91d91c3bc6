package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// maxAttributeRows is the maximum number of rows of one group in group_attributes.
const maxAttributeRows = 64

// setAttributes writes the attributes by which a group can be found. isNew means that the
// group has no rows yet.
func (t *tx) setAttributes(ctx context.Context, groupID string, attributes json.RawMessage, isNew bool) error {
	if !isNew {
		if _, err := t.q.ExecContext(ctx, `DELETE FROM group_attributes WHERE group_id = $1`, groupID); err != nil {
			return fmt.Errorf("remove the attributes: %w", err)
		}
	}
	if err := t.sql.insertAttributes.split(attributeRows(groupID, attributes), t.exec(ctx)); err != nil {
		return fmt.Errorf("write the attributes: %w", err)
	}
	return nil
}

// attributeRows returns the rows for the attributes of a group.
func attributeRows(groupID string, attributes json.RawMessage) []args {
	found := findable(attributes)
	rows := make([]args, 0, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if len(rows) < maxAttributeRows {
			rows = append(rows, args{key, found[key], groupID})
		}
	}
	return rows
}

// findable returns the members of an object by which a group can be found: strings, and
// numbers and booleans as they are written.
func findable(object json.RawMessage) map[string]string {
	found := make(map[string]string)
	if len(object) == 0 {
		return found
	}
	members, _ := rawjson.Split(object, len(object))
	for _, member := range members {
		key, value := rawjson.Member(member)
		text, isText := rawjson.Text(value)
		switch {
		case isText:
		case len(value) == 0 || strings.ContainsRune(`{["n`, rune(value[0])):
			delete(found, key) // if a key occurs twice, the last one counts
			continue
		default:
			text = string(value)
		}
		if group.CheckAttribute(key, text) == "" && storable(key) && storable(text) {
			found[key] = text
		}
	}
	return found
}

// rarest is how far the groups with an attribute are counted to find the rarest attribute.
const rarest = 10_000

// attributesNewest returns the statement that lists live groups with some attributes,
// newest first, and its arguments. It lists at most $1 groups with ids before $2, of owner
// $3 unless that is empty. Without an owner, it starts from the groups with the first
// attribute and looks up the other attributes for each.
func attributesNewest(lateral string, f group.Filter, keys []string, before string, rows int) (text string, a args) {
	a = args{rows, before}
	var b strings.Builder
	b.WriteString(`SELECT ` + groupColumns + `, g.moved_at, g.deleted_at FROM `)
	id := `g.id`
	if f.OwnerID != "" {
		a = append(a, f.OwnerID)
		b.WriteString(`groups g WHERE g.owner_id = $3 AND g.id < $2`)
	} else {
		a = append(a, keys[0], f.Attributes[keys[0]])
		keys, id = keys[1:], `a.group_id`
		b.WriteString(`group_attributes a ` + lateral + ` WHERE a.key = $3 AND a.value = $4 AND a.group_id < $2`)
	}
	for _, key := range keys {
		a = append(a, key, f.Attributes[key])
		fmt.Fprintf(&b, ` AND EXISTS (SELECT 1 FROM group_attributes WHERE key = $%d AND value = $%d AND group_id = %s)`, len(a)-1, len(a), id)
	}
	b.WriteString(` AND g.deleted_at IS NULL ORDER BY ` + id + ` DESC LIMIT $1`)
	return b.String(), a
}
