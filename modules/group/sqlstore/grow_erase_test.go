package sqlstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// eraseOne makes each step of a job once, for a user of one small group.
func eraseOne(ctx context.Context, s *sqlstore.Store, i int) error {
	userID := fmt.Sprintf("owner-%d", i+300)
	id, err := s.SetErasure(ctx, "job-of-"+userID, userID)
	if err != nil {
		return err
	}
	job, err := s.Erasure(ctx, id)
	if err != nil {
		return err
	}
	_, err = s.ClaimErasure(ctx)
	groupID, failed := s.TracedGroup(ctx, userID)
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	_, err = s.Change(ctx, groupID, "", func(tx group.Tx) error {
		_, err := tx.Heir(ctx, userID)
		return errors.Join(err, tx.CountErased(ctx, id, group.Erased{GroupsLeft: 1}))
	})
	_, _, _, looked := s.EventsAbout(ctx, groupID, userID, 0, 200)
	blanked := s.BlankEvents(ctx, job, groupID, 0, 1, func(_ context.Context, _ group.EventTx, e group.Event) ([]byte, error) { return e.Data, nil })
	_, acts := s.ForgetActs(ctx, groupID, userID, 200)
	_, in := s.ForgetIn(ctx, groupID, userID, 1)
	_, receipts := s.ForgetReceipts(ctx, userID, 200)
	_, audited := s.EraseOf(ctx, userID, job.Pseudonym())
	_, finished := s.FinishErasure(ctx, job)
	return errors.Join(err, looked, blanked, acts, in, receipts, audited, s.ForgetUser(ctx, userID), s.AdvanceErasure(ctx, job, 0), finished)
}
