package sqlhooks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/hook"
)

// Presence keeps the last change of each user in a group while a hook chose presence, and
// the changes that are still to be sent to each of these hooks. It is safe for concurrent
// use.
//
// It changes the data of a group only while it holds the lock on the group's row in
// hook_presence_heads. So changes are committed in the order of n, and a hook that has got
// all changes up to n has missed none.
type Presence struct {
	positions

	text presenceStatements
}

var _ hook.PresenceStore = (*Presence)(nil)

// NewPresence returns a store on db.
func NewPresence(db *database.DB) *Presence { return presenceOn(db) }

func presenceOn(db backing) *Presence {
	d := db.Dialect()
	texts := newTurnStatements(d, presenceTable, presenceTurn, `head`, `FALSE`)
	return &Presence{positions: positions{db: db, texts: texts, scan: scanPresenceTurn}, text: newPresenceStatements(d)}
}

// reportRow is a report in the form that the statements read.
type reportRow struct {
	GroupID string `json:"g"`
	UserID  string `json:"u"`
	N       int64  `json:"n"`
	Online  bool   `json:"o"`
	At      int64  `json:"a"`
	Seen    int64  `json:"s"`
}

// headRow is the change of a group's head.
type headRow struct {
	GroupID string `json:"g"`
	Before  int64  `json:"b"`
	Head    int64  `json:"h"`
}

// Record implements [hook.PresenceStore].
func (p *Presence) Record(ctx context.Context, reports []hook.Report) (changes int, err error) {
	err = p.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		changes = 0
		heads, err := p.lock(ctx, q, reports)
		if err != nil || len(heads) == 0 {
			return err
		}
		rows := number(reports, heads)
		moved := make(map[string]*headRow)
		encoded, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		err = each(ctx, q, func(scan scanner) error {
			var id string
			var n int64
			if err := scan(&id, &n); err != nil {
				return err
			}
			h := heads[id]
			if n <= h.Before { // there is nothing new about this user
				return nil
			}
			h.Head = max(h.Head, n)
			moved[id] = h
			changes++
			return nil
		}, p.text.report, string(encoded))
		if err != nil || changes == 0 {
			return err
		}
		return p.move(ctx, q, moved)
	})
	return changes, doing(err, "store presence for hooks")
}

// lock locks and returns the heads of the reports' groups. Groups that do not exist have
// none, and without a hook that chose presence no group has one.
func (p *Presence) lock(ctx context.Context, q database.Querier, reports []hook.Report) (map[string]*headRow, error) {
	var ids []string
	for _, r := range reports {
		ids = append(ids, r.GroupID)
	}
	slices.Sort(ids)
	encoded, err := list(slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	heads := make(map[string]*headRow)
	err = each(ctx, q, func(scan scanner) error {
		h := new(headRow)
		var now int64
		err := scan(&h.GroupID, &h.Before, &now)
		h.Head = max(h.Before, now)
		heads[h.GroupID] = h
		return err
	}, p.text.lock, encoded)
	return heads, err
}

// number sets the n that each report gets if it is new. It is larger than every earlier n
// of the group, also those of deleted rows, because it is at least the current time in
// microseconds.
func number(reports []hook.Report, heads map[string]*headRow) []reportRow {
	next := make(map[string]int64, len(heads))
	rows := make([]reportRow, 0, len(reports))
	for _, r := range reports {
		h := heads[r.GroupID]
		if h == nil {
			continue
		}
		next[r.GroupID] = max(next[r.GroupID], h.Head) + 1
		rows = append(rows, reportRow{GroupID: r.GroupID, UserID: r.UserID, N: next[r.GroupID], Online: r.Online, At: r.At.UnixMicro(), Seen: r.Seen.UnixMicro()})
	}
	return rows
}

// move stores heads, and makes their groups due for the hooks.
func (p *Presence) move(ctx context.Context, q database.Querier, moved map[string]*headRow) error {
	rows := make([]*headRow, 0, len(moved))
	for _, h := range moved {
		rows = append(rows, h)
	}
	encoded, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, p.text.move, string(encoded)); err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, p.text.spread, string(encoded))
	return err
}

// Check implements [hook.PresenceStore].
func (p *Presence) Check(ctx context.Context, limit int, every time.Duration) (ids []string, err error) {
	err = p.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		ids = nil
		err := each(ctx, q, func(scan scanner) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		}, p.text.check, limit, every.Microseconds())
		if err != nil || len(ids) == 0 {
			return err
		}
		encoded, err := list(ids)
		if err != nil {
			return err
		}
		for _, text := range []string{p.text.removed, p.text.empty} {
			if _, err := q.ExecContext(ctx, text, encoded); err != nil {
				return err
			}
		}
		return nil
	})
	return ids, doing(err, "look for presence to be checked")
}

// Told implements [hook.PresenceStore].
func (p *Presence) Told(ctx context.Context, groupID string) (reports []hook.Report, err error) {
	err = p.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		reports = nil
		return each(ctx, q, func(scan scanner) error {
			r := hook.Report{GroupID: groupID}
			var at, seen int64
			err := scan(&r.UserID, &r.Online, &at, &seen)
			r.At, r.Seen = instant(at), instant(seen)
			reports = append(reports, r)
			return err
		}, told, groupID)
	})
	return reports, doing(err, "read what hooks were told of presence")
}

func scanPresenceTurn(scan scanner, hookID string) (hook.Turn, error) {
	t := hook.Turn{HookID: hookID}
	err := scan(&t.GroupID, &t.Claim, &t.Version, &t.Upto, &t.Attempts)
	return t, err
}

// Seek implements [hook.Positions]. Positions of presence never have to move.
func (p *Presence) Seek(_ context.Context, t hook.Turn) (hook.Turn, bool, error) { return t, true, nil }

// Read implements [hook.Positions].
func (p *Presence) Read(ctx context.Context, t hook.Turn) (page hook.Page, err error) {
	err = p.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		page = hook.Page{Upto: t.Upto, Presence: []hook.PresenceChange{}}
		return each(ctx, q, func(scan scanner) error {
			c := hook.PresenceChange{GroupID: t.GroupID, Type: hook.PresenceOffline}
			var online bool
			var at int64
			err := scan(&c.UserID, &c.N, &online, &at)
			if c.At = instant(at); online {
				c.Type = hook.PresenceOnline
			}
			if page.Presence = append(page.Presence, c); len(page.Presence) == hook.MaxEvents {
				page.Upto = c.N
			}
			return err
		}, readPresence, t.GroupID, t.Version, t.Upto, hook.MaxEvents)
	})
	return page, doing(err, "read presence for a hook")
}

// Done implements [hook.Positions]. If nothing is left to send, it removes the position.
func (p *Presence) Done(ctx context.Context, t hook.Turn, upto int64, status int, _, goOn bool) (next *hook.Turn, err error) {
	lease := int64(0)
	if goOn {
		lease = hook.Lease.Microseconds()
	}
	err = p.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		next = nil
		if err := p.lockHead(ctx, q, t.GroupID); err != nil {
			return err
		}
		turn, err := scanPresenceTurn(q.QueryRowContext(ctx, p.text.done, t.GroupID, t.HookID, t.Claim, upto, status, lease).Scan, t.HookID)
		if err == nil && goOn {
			next = &turn
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return p.finish(ctx, q, t)
	})
	return next, doing(err, "record a delivery")
}

// Drop implements [hook.Positions].
func (p *Presence) Drop(ctx context.Context, t hook.Turn) error {
	_, err := p.Done(ctx, t, 1<<62, 0, false, false)
	return err
}

func (p *Presence) lockHead(ctx context.Context, q database.Querier, groupID string) error {
	var head int64
	err := q.QueryRowContext(ctx, p.text.lockHead, groupID).Scan(&head)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// finish removes the position of a turn with nothing left to send, and rows that no hook
// needs any more. It does nothing if the claim has ended.
func (p *Presence) finish(ctx context.Context, q database.Querier, t hook.Turn) error {
	result, err := q.ExecContext(ctx, finished, t.GroupID, t.HookID, t.Claim)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if _, err := q.ExecContext(ctx, needless, t.GroupID); err != nil {
		return err
	}
	ids, err := list([]string{t.GroupID})
	if err == nil {
		_, err = q.ExecContext(ctx, p.text.empty, ids)
	}
	return err
}
