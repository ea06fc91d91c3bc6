package group

import (
	"context"
	"testing"

	"github.com/moim-live/moim/modules/auth"
)

// spyRepository records whether a transaction is open.
type spyRepository struct {
	Repository
	inside bool
	kept   Receipt
}

func (r *spyRepository) Change(_ context.Context, groupID, _ string, fn func(Tx) error) ([]Event, error) {
	r.inside = true
	defer func() { r.inside = false }()
	return nil, fn(spyTx{repo: r, group: Group{ID: groupID}})
}

type spyTx struct {
	Tx
	repo  *spyRepository
	group Group
}

func (t spyTx) Group() Group                                  { return t.group }
func (spyTx) Member(context.Context, string) (*Member, error) { return nil, nil } //nolint:nilnil // the user is not a member
func (t spyTx) Keep(_ context.Context, receipt Receipt) error { t.repo.kept = receipt; return nil }

// sent is a request that records where it is encoded.
type sent struct {
	repo    *spyRepository
	encoded []bool // for each encoding, whether a transaction was open
}

func (s *sent) MarshalJSON() ([]byte, error) {
	s.encoded = append(s.encoded, s.repo.inside)
	return []byte("{}"), nil
}

// TestARequestIsEncodedBeforeItsTransaction checks that a request is not encoded inside a
// transaction. A request may be large, and other callers wait for the transaction.
func TestARequestIsEncodedBeforeItsTransaction(t *testing.T) {
	t.Parallel()
	repo := &spyRepository{}
	service := NewService(Config{}, Deps{Repository: repo})
	request, answer := &sent{repo: repo}, ""
	ctx := WithKey(t.Context(), "key")
	err := service.change(ctx, actUpdate, auth.Identity{UserID: "backend", Admin: true}, "0190f5fe-7c00-7a00-8abc-012345678901",
		asked{what: "test", with: request, answer: &answer}, func(Tx, *Member) error {
			answer = "done"
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if len(request.encoded) != 1 || request.encoded[0] {
		t.Errorf("the request was encoded %d times, inside its transaction: %v", len(request.encoded), request.encoded)
	}
	if string(repo.kept.Answer) != `"done"` {
		t.Errorf("the receipt answers %s", repo.kept.Answer)
	}
}
