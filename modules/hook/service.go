package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

// TestEvent is the type of the event in a test delivery. It is never in a log.
const TestEvent group.EventType = "hook.test"

// Service holds the operations of back ends on hooks. It is safe for concurrent use.
type Service struct {
	definitions Definitions
	replays     Replays
	sender      Destination
	changed     func()
	now         func() time.Time
}

// NewService returns a service. changed is called after each change.
func NewService(definitions Definitions, replays Replays, sender Destination, changed func()) *Service {
	return &Service{definitions: definitions, replays: replays, sender: sender, changed: changed, now: time.Now}
}

// List lists all hooks, by name.
func (s *Service) List(ctx context.Context, caller auth.Identity) ([]Hook, error) {
	if err := group.BackEndMay(caller, auth.ReadHooks); err != nil {
		return nil, err
	}
	return s.definitions.Hooks(ctx)
}

// Create creates a hook.
func (s *Service) Create(ctx context.Context, caller auth.Identity, draft Draft) (Hook, error) {
	if err := group.BackEndMay(caller, auth.WriteHooks); err != nil {
		return Hook{}, err
	}
	if err := check(draft.mistakes()); err != nil {
		return Hook{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Hook{}, fmt.Errorf("make the id of a hook: %w", err)
	}
	h := Hook{ID: id.String(), Name: draft.Name, Source: FromAPI, URL: draft.URL, Events: unique(draft.Events), Enabled: true, Secret: webhook.NewSecret()}
	if draft.Secret != nil {
		h.Secret = *draft.Secret
	}
	entry, err := newEntry(ctx, caller, "create-hook", nil, &h)
	if err != nil {
		return Hook{}, err
	}
	h, err = s.definitions.Create(ctx, h, draft.Since != nil && *draft.Since == sinceStart, entry)
	if err == nil {
		s.changed()
	}
	return h, err
}

// Change changes a hook. It returns the secret only if Moim generated it.
func (s *Service) Change(ctx context.Context, caller auth.Identity, name string, patch Patch) (Hook, error) {
	if err := s.may(caller, name, auth.WriteHooks); err != nil {
		return Hook{}, err
	}
	if err := check(patch.mistakes()); err != nil {
		return Hook{}, err
	}
	made := webhook.NewSecret()
	h, err := s.definitions.Change(ctx, name, func(h *Hook) ([]audit.Entry, error) {
		was := *h
		if h.Source != FromAPI && (patch.URL != nil || patch.Events != nil || patch.Secret != nil || patch.Rotate) {
			return nil, errFileHook
		}
		if patch.URL != nil {
			h.URL = *patch.URL
		}
		if patch.Events != nil {
			h.Events = unique(patch.Events)
		}
		if patch.Secret != nil {
			h.setSecret(*patch.Secret)
		}
		if patch.Rotate {
			h.setSecret(made)
		}
		if patch.Enabled != nil && *patch.Enabled != h.Enabled {
			if h.Enabled, h.Problem = *patch.Enabled, ""; !h.Enabled {
				h.Problem = "disabled by a back end"
			}
		}
		entry, err := newEntry(ctx, caller, "update-hook", &was, h)
		return []audit.Entry{entry}, err
	})
	if !patch.Rotate {
		h.Secret = ""
	}
	return h, s.ended(err)
}

// Delete removes a hook and its positions.
func (s *Service) Delete(ctx context.Context, caller auth.Identity, name string) error {
	h, err := s.find(ctx, caller, name, auth.WriteHooks)
	if err != nil {
		return err
	}
	entry, err := newEntry(ctx, caller, "delete-hook", &h, nil)
	if err != nil {
		return err
	}
	return s.ended(s.definitions.Delete(ctx, name, entry))
}

// ended reports a change to the dispatcher, and returns err.
func (s *Service) ended(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return errNoHook
	}
	if err == nil {
		s.changed()
	}
	return err
}

// Groups lists at most limit groups with a backlog.
func (s *Service) Groups(ctx context.Context, caller auth.Identity, name string, before Place, limit int) ([]Status, error) {
	h, err := s.find(ctx, caller, name, auth.ReadHooks)
	if err != nil {
		return nil, err
	}
	return s.replays.Groups(ctx, h.ID, before, limit)
}

// ReplayRequest describes the events to send again.
type ReplayRequest struct {
	GroupID string `json:"groupId,omitempty" doc:"absent: all groups"`
	Since   string `json:"since,omitempty" doc:"start, or an instant such as 2026-03-01T12:00:00Z; for one group also a version, after which the replay begins. Absent: go on where deliveries have stopped, also in parked groups"`

	reading
}

// maxSince limits the text of [ReplayRequest].Since, which the audit log keeps.
const maxSince = 64

// point returns where a replay begins, and whether the position moves back at all.
func (r ReplayRequest) point() (to Point, back bool, err error) {
	list := slices.Clone(r.wrong)
	if r.GroupID != "" && !dto.ValidUserID(r.GroupID) {
		list.add("groupId", "is not an id")
	}
	if len(r.Since) > maxSince { // with enough zeros, it could have any length
		list.add("since", fmt.Sprintf("is longer than %d bytes", maxSince))
	} else if at, wrong := time.Parse(time.RFC3339, r.Since); wrong == nil {
		to.At = at
	} else if version, wrong := strconv.ParseInt(r.Since, 10, 64); wrong == nil && version >= 0 && r.GroupID != "" {
		to.Version = &version
	} else if r.Since != "" && r.Since != sinceStart {
		list.add("since", "must be start, an instant such as 2026-03-01T12:00:00Z, or a version if groupId names a group")
	}
	return to, r.Since != "", check(list)
}

// Replay sends events again, in the background.
func (s *Service) Replay(ctx context.Context, caller auth.Identity, name string, req ReplayRequest) error {
	h, err := s.find(ctx, caller, name, auth.WriteHooks)
	if err != nil {
		return err
	}
	to, back, err := req.point()
	if err != nil {
		return err
	}
	if back && !wantsEvents(h.Events) {
		return check([]fault.Field{{Field: "since", Message: "is for events, and the hook is sent presence only: of that, only the last changes are kept"}})
	}
	entry, err := newEntry(ctx, caller, "replay-hook", nil, nil)
	if err != nil {
		return err
	}
	entry.GroupID = req.GroupID
	if entry.After, err = json.Marshal(map[string]any{"replay": map[string]string{"hook": h.Name, "since": req.Since}}); err != nil {
		return err
	}
	switch {
	case !back:
		err = s.replays.Resume(ctx, h.ID, req.GroupID, entry)
	case req.GroupID != "":
		err = s.replays.Rewind(ctx, h.ID, req.GroupID, to, entry)
	default:
		err = s.replays.RewindAll(ctx, h.ID, to, entry)
	}
	if errors.Is(err, fault.ErrNotFound) {
		return fault.ErrNotFound.WithMessage("there is no such group")
	}
	return s.ended(err)
}

// TestResult is the result of a test delivery.
type TestResult struct {
	Accepted     bool   `json:"accepted" doc:"whether the receiver answered 2xx in time"`
	Status       int    `json:"status,omitempty" doc:"HTTP status of its answer, if that was not 2xx"`
	Problem      string `json:"problem,omitempty"`
	Milliseconds int64  `json:"milliseconds" doc:"how long it took"`
}

// Test sends one delivery with an event of type [TestEvent], and waits for the answer. It
// works even while the hook is disabled.
func (s *Service) Test(ctx context.Context, caller auth.Identity, name string) (TestResult, error) {
	h, err := s.find(ctx, caller, name, auth.WriteHooks)
	if err != nil {
		return TestResult{}, err
	}
	if h.URL == "" {
		return TestResult{}, fault.Validation(fault.Field{Field: "name", Message: "is a function of the program: it cannot be tested from here"})
	}
	began := s.now()
	id := uuid.NewString()
	err = s.sender.Deliver(ctx, h, Delivery{ID: "test_" + id, Hook: h.Name, GroupID: id, Events: []group.Event{
		{GroupID: id, Version: 1, Type: TestEvent, Data: json.RawMessage(`{}`), At: began.UTC()},
	}})
	result := TestResult{Accepted: err == nil, Milliseconds: s.now().Sub(began).Milliseconds()}
	if err != nil {
		result.Problem = problemOf(err)
		if refusal, answered := errors.AsType[*Refusal](err); answered {
			result.Status = refusal.Status
		}
	}
	return result, nil
}

func (s *Service) may(caller auth.Identity, name string, call auth.Calls) error {
	if err := group.BackEndMay(caller, call); err != nil {
		return err
	}
	if checkName(name) != "" {
		return errNoHook
	}
	return nil
}

func (s *Service) find(ctx context.Context, caller auth.Identity, name string, call auth.Calls) (Hook, error) {
	if err := s.may(caller, name, call); err != nil {
		return Hook{}, err
	}
	hooks, err := s.definitions.Hooks(ctx)
	if err != nil {
		return Hook{}, err
	}
	for _, h := range hooks {
		if h.Name == name {
			return h, nil
		}
	}
	return Hook{}, errNoHook
}

// newEntry returns an audit entry about a change of a hook. It has no secrets.
func newEntry(ctx context.Context, caller auth.Identity, does string, before, after *Hook) (e audit.Entry, err error) {
	if e, err = audit.New(ctx, caller.UserID, does); err != nil {
		return e, err
	}
	e.RequestID = requestid.From(ctx)
	for h, into := range map[*Hook]*json.RawMessage{before: &e.Before, after: &e.After} {
		if h == nil {
			continue
		}
		record := map[string]any{"name": h.Name, "url": withoutQuery(h.URL), "events": h.Events, "enabled": h.Enabled}
		if before != nil && after != nil && h == after {
			for field, is := range map[string]bool{
				"newSecret": before.Secret != after.Secret,
				"newQuery":  before.URL != after.URL && withoutQuery(before.URL) == withoutQuery(after.URL),
			} {
				if is {
					record[field] = true
				}
			}
		}
		if *into, err = json.Marshal(map[string]any{"hook": record}); err != nil {
			return e, err
		}
	}
	return e, nil
}

// withoutQuery removes the query of a URL, because receivers often expect a secret there.
func withoutQuery(url string) string {
	if before, _, has := strings.Cut(url, "?"); has {
		return before + "?***"
	}
	return url
}
