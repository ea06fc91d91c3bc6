package database

import (
	"context"
	"database/sql"
	"sync"
)

// maxTexts bounds how many prepared statements are kept; what comes after them
// is run unprepared.
const maxTexts = 256

// texts keeps prepared statements by their text.
type texts struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

func newTexts(prepare func(ctx context.Context, query string) (*sql.Stmt, error)) *texts {
	return &texts{prepare: prepare, stmts: make(map[string]*sql.Stmt)}
}

// find returns the statement if it is prepared already, or nil.
func (t *texts) find(query string) *sql.Stmt {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.stmts[query]
}

// get returns the prepared statement, or nil when there is none: then the text
// itself is run, which says what is wrong with it.
func (t *texts) get(ctx context.Context, query string) *sql.Stmt {
	t.mu.RLock()
	st, n := t.stmts[query], len(t.stmts)
	t.mu.RUnlock()
	if st != nil || n >= maxTexts {
		return st
	}
	st, err := t.prepare(ctx, query)
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.stmts[query]; other != nil {
		_ = st.Close()
		return other
	}
	if t.stmts == nil { // closed meanwhile
		_ = st.Close()
		return nil
	}
	t.stmts[query] = st
	return st
}

func (t *texts) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, st := range t.stmts {
		_ = st.Close()
	}
	t.stmts = nil
}
