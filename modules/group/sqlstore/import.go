package sqlstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/transfer"
)

var _ transfer.Store = (*Store)(nil)

// errDry rolls back a dry run.
var errDry = errors.New("a dry run")

// Owners implements [transfer.Store].
func (s *Store) Owners(ctx context.Context, groupIDs []string) (owners map[string]string, err error) {
	list, err := textList(groupIDs)
	if err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		owners = make(map[string]string)
		return each(ctx, q, s.sql.imports.owners, args{list}, func(scan scanner) error {
			var id, owner string
			err := scan(&id, &owner)
			owners[id] = owner
			return err
		})
	})
	return owners, doing(err, "read the owners of groups", "")
}

// Import implements [transfer.Store].
//
// It writes no rows to the outbox: a new group has no subscribers, and nodes notice a
// changed group by its head.
func (s *Store) Import(ctx context.Context, b transfer.Batch, dry bool) (written transfer.Written, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		im := &importing{tx: tx{q: q, sql: &s.sql}, groups: make(map[string]*imported)}
		if err := im.write(ctx, b); err != nil {
			return err
		}
		if written = im.written; dry {
			return errDry
		}
		if b.Entry != nil && written.All() > 0 {
			return sqlaudit.Insert(ctx, q, *b.Entry)
		}
		return nil
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return written, doing(err, "import a batch", "")
}

// importedTables are the tables to which an import may add many rows.
var importedTables = []string{
	"groups", "group_attributes", "group_sizes", "heads", "members", "events", "user_locks", "bans", "invites", "imports", "traces",
}

// Analyze implements [transfer.Store]. PostgreSQL renews its statistics only about once a
// minute by itself. Until then it would plan searches as if the groups were few, and read
// all of them. SQLite needs no statistics for the statements of this package.
func (s *Store) Analyze(ctx context.Context) error {
	if s.db.Dialect() != database.Postgres {
		return nil
	}
	for _, table := range importedTables {
		err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, "ANALYZE "+table)
			return err
		})
		if err != nil {
			return doing(err, "analyze the table "+table, "")
		}
	}
	return nil
}

// importing is the transaction of one batch.
type importing struct {
	tx
	groups  map[string]*imported // groups that exist, by id
	events  []args
	written transfer.Written
}

// imported is a group that a batch writes to.
type imported struct {
	id, owner         string
	version, messages int64
	members           int
	at                int64 // time of the last event

	place     transfer.Place // position of the last imported message
	known     bool           // it has a row in imports
	hasOwner  bool           // the owner must not be changed
	moved     bool           // it has new events
	placed    bool           // place has changed
	added     []group.Member
	ownerLine *group.Member
}

// write writes what is missing from a batch. Like any change, it locks the rows of groups
// before those of users.
func (im *importing) write(ctx context.Context, b transfer.Batch) error {
	ids, err := im.lock(ctx, b)
	if err != nil {
		return err
	}
	made, err := im.create(ctx, b.Groups)
	if err != nil {
		return err
	}
	if err := im.read(ctx, append(ids, made...)); err != nil {
		return err
	}
	for _, step := range []func(context.Context, transfer.Batch) error{im.post, im.admit, im.invite, im.flush} {
		if err := step(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// lock locks the groups that the batch adds to, and returns those that exist.
func (im *importing) lock(ctx context.Context, b transfer.Batch) (ids []string, err error) {
	of := make(map[string]bool)
	for _, m := range b.Messages {
		of[m.GroupID] = true
	}
	for _, m := range b.Members {
		of[m.GroupID] = true
	}
	for _, ban := range b.Bans {
		of[ban.GroupID] = true
	}
	for _, i := range b.Invites {
		of[i.GroupID] = true
	}
	if len(of) == 0 {
		return nil, nil
	}
	list, err := textList(slices.Collect(maps.Keys(of)))
	if err != nil {
		return nil, err
	}
	return im.texts(ctx, im.sql.imports.lock, args{list})
}

// create creates the missing groups, with their owners, and returns their ids.
func (im *importing) create(ctx context.Context, groups []transfer.NewGroup) (made []string, err error) {
	byID := make(map[string]transfer.NewGroup)
	for _, g := range groups {
		if _, twice := byID[g.ID]; !twice {
			byID[g.ID] = g
		}
	}
	var rows []args
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		g := byID[id]
		record, err := recordArgs(normal(g.Group))
		if err != nil {
			return nil, err
		}
		rows = append(rows, append(args{g.ID, g.Owner.UserID, g.CreatedAt.UnixMicro(), micros(g.NextTimer(g.CreatedAt))}, record...))
	}
	err = im.sql.imports.groups.split(rows, func(text string, a args) error {
		ids, err := im.texts(ctx, text, a)
		made = append(made, ids...)
		return err
	})
	if err != nil {
		return nil, err
	}
	var owners, attributes, imports []args
	for _, id := range made {
		g := byID[id]
		g.Group = normal(g.Group)
		g.OwnerID, g.MemberCount, g.Version, g.Revision = g.Owner.UserID, 1, 1, 1
		data, err := encode(g.Group)
		if err != nil {
			return nil, err
		}
		im.event(&imported{id: id}, group.GroupCreated, nil, data, g.CreatedAt.UnixMicro())
		owners = append(owners, memberArgs(id, g.Owner, mark{}))
		imports = append(imports, args{id, g.Source, false})
		attributes = append(attributes, attributeRows(id, g.Attributes)...)
	}
	slices.SortFunc(owners, byUserID)
	im.written.Groups = len(made)
	return made, im.each(ctx, writes{
		{im.sql.insertMembers, owners},
		{im.sql.imports.imports, imports},
		{im.sql.insertAttributes, attributes},
		{im.sql.insertEvents, im.take()},
	})
}

// event adds an event to the log of a group.
func (im *importing) event(g *imported, typ group.EventType, actor *string, data []byte, at int64) {
	g.version, g.at, g.moved = g.version+1, max(g.at, at), true
	if typ == group.MessagePosted {
		g.messages++
	}
	e := group.Event{GroupID: g.id, Version: g.version, Type: typ, Actor: actor, Data: data, At: instant(g.at)}
	im.events = append(im.events, append(eventArgs(e), g.messages))
}

// take returns the events to write.
func (im *importing) take() []args {
	events := im.events
	im.events = nil
	return events
}

// writes are rows for statements, in order.
type writes []struct {
	statement bulk
	rows      []args
}

func (im *importing) each(ctx context.Context, all writes) error {
	for _, w := range all {
		if err := w.statement.split(w.rows, im.exec(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// texts returns the only column of a query.
func (im *importing) texts(ctx context.Context, query string, a args) (list []string, err error) {
	err = each(ctx, im.q, query, a, func(scan scanner) error {
		var text string
		err := scan(&text)
		list = append(list, text)
		return err
	})
	return list, err
}

// pair names a user in a group.
type pair struct{ groupID, userID string }

func (p pair) less(other pair) int {
	if n := strings.Compare(p.groupID, other.groupID); n != 0 {
		return n
	}
	return strings.Compare(p.userID, other.userID)
}
