// Package grouptest is the conformance suite for stores of groups. An embedding program's
// own store must pass [Run] before group.Service can use it.
package grouptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/transfer"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// Store has the interfaces that the suite tests.
type Store interface {
	group.Repository
	group.Log
	upkeep.Trimmer
	upkeep.Clock
	upkeep.Renames
	upkeep.Erasures
	transfer.Traces
}

// Run tests the stores that open returns. Each call of open must return a separate, empty
// store that lives until its test ends. The tests run in parallel.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Store){
		"CreateAndRead":        testCreate,
		"UnknownIsNotFound":    testUnknown,
		"RecordAndRevision":    testRecord,
		"MembersComeAndGo":     testMembers,
		"ManyMembersAtOnce":    testManyMembers,
		"ErrorsLeaveNothing":   testRollback,
		"VersionsWithoutHoles": testVersions,
		"CapacityHolds":        testCapacity,
		"OwnerIsOneAlways":     testOwner,
		"OffersEnd":            testOffers,
		"BansComeAndGo":        testBans,
		"MutesComeAndGo":       testMutes,
		"RequestsComeAndGo":    testApplicants,
		"RequestsOfUser":       testUserRequests,
		"InvitesAreUsedUp":     testInvites,
		"InvitationsComeAndGo": testInvitations,
		"WhoHasLeft":           testDeparted,
		"TalliesHold":          testTallies,
		"TalliesAfterHistory":  testTalliesAfterHistory,
		"CreationsCount":       testCreations,
		"DeletedKeepsItsLog":   testDelete,
		"EventsAsWritten":      testEvents,
		"EventsAreReplaced":    testReplaced,
		"MessageListing":       testMessages,
		"LogPages":             testLogPages,
		"LargePages":           testLargePages,
		"LargeItems":           testLargeItems,
		"Memberships":          testMemberships,
		"LogReadsOneMoment":    testLogMoment,
		"Heads":                testHeads,
		"RelayAndPublished":    testRelay,
		"RelaysShareNothing":   testRelays,
		"RelayGoesOn":          testRelayGoesOn,
		"MemberListing":        testMemberListing,
		"PublicListing":        testPublicListing,
		"PublicSearch":         testSearch,
		"UserListing":          testUserListing,
		"TextNobodyCanStore":   testUnstorable,
		"LogIsTrimmed":         testTrim,
		"LogIsTrimmedByBytes":  testTrimBytes,
		"WhatIsOverExpires":    testExpire,
		"WhatIsOverMakesRoom":  testRemoveOver,
		"ReadMarks":            testMarks,
		"ReadVersions":         testReadVersions,
		"NamedIn":              testNamedIn,
		"Unread":               testUnread,
		"ReceiptsOnce":         testReceipts,
		"TwinsCommitOnce":      testTwins,
		"TimersArePostponed":   testTimers,
		"TimersAreListed":      testListTimers,
		"RenamesAreJobs":       testRenames,
		"ErasuresAreJobs":      testErasures,
		"LogsAreBlanked":       testEraseLog,
		"HeirsInOrder":         testHeir,
		"ReceiptsForget":       testForgetReceipts,
		"BackEndsFindGroups":   testFind,
		"FindByAttributes":     testFindByAttributes,
		"FindLargest":          testFindLargest,
		"FindByName":           testFindByName,
		"AuditLog":             testAudit,
		"AuditErasesIDsOnly":   testEraseCommonWord,
		"AuditErasesNamed":     testEraseNamed,
		"AuditedWithTheChange": testAuditTx,
		"LargeAuditEntries":    testLargeAudit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// at is a time as stores keep it, in UTC and microseconds.
var at = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// fixture returns a group to create. All optional fields are empty.
func fixture() group.Group {
	return group.Group{
		ID:         newID(),
		Name:       "Study room",
		Visibility: group.Private,
		JoinPolicy: group.JoinOpen,
		Posting:    group.PostingMembers,
		Attributes: json.RawMessage(`{}`),
		CreatedAt:  at,
		UpdatedAt:  at,
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func member(userID string) group.Member {
	return group.Member{
		UserID: userID, Name: "Name of " + userID, Role: group.MemberRole,
		Attributes: json.RawMessage(`{}`), Profile: json.RawMessage(`{"bio":"of ` + userID + `"}`), JoinedAt: at,
	}
}

func owner() group.Member {
	m := member("alice")
	m.Role = group.Owner
	return m
}

// create stores a fixture that alice owns, after applying the changes to it.
func create(t *testing.T, s Store, change ...func(*group.Group)) group.Group {
	t.Helper()
	g := fixture()
	for _, c := range change {
		c(&g)
	}
	g, _, err := s.Create(t.Context(), "alice", g, owner(), nil, nil)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return g
}

// join makes the same changes as the service when a user joins.
func join(ctx context.Context, userID string) func(group.Tx) error {
	return func(tx group.Tx) error {
		m := member(userID)
		if err := tx.AddMember(ctx, m); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.MemberJoined, userID, m)
		return err
	}
}

// post appends a message that contains n.
func post(ctx context.Context, n int) func(group.Tx) error {
	return func(tx group.Tx) error {
		_, err := tx.Append(ctx, group.MessagePosted, "alice", map[string]int{"n": n})
		return err
	}
}

func change(t *testing.T, s Store, groupID string, fn func(group.Tx) error) []group.Event {
	t.Helper()
	events, err := s.Change(t.Context(), groupID, "", fn)
	if err != nil {
		t.Fatalf("change: %v", err)
	}
	return events
}

func read(t *testing.T, s Store, groupID string, since int64, limit int, users ...string) group.LogPage {
	t.Helper()
	page, err := s.Read(t.Context(), groupID, since, limit, users)
	if err != nil {
		t.Fatalf("read the log: %v", err)
	}
	return page
}

func get(t *testing.T, s Store, groupID, userID string) (group.Group, *group.Member) {
	t.Helper()
	g, m, err := s.Group(t.Context(), groupID, userID)
	if err != nil {
		t.Fatalf("read the group: %v", err)
	}
	return g, m
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func isNotFound(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("%s: %v, want not_found", what, err)
	}
}

// withoutHoles checks that the versions of the events follow since without gaps, and that
// their times do not decrease.
func withoutHoles(t *testing.T, events []group.Event, since int64) {
	t.Helper()
	var last time.Time
	for i, e := range events {
		if want := since + int64(i) + 1; e.Version != want {
			t.Fatalf("event %d has version %d, want %d", i, e.Version, want)
		}
		if e.At.Before(last) {
			t.Errorf("event %d is of %s, the one before it of %s", e.Version, e.At, last)
		}
		last = e.At
	}
}

func versions(events []group.Event) []int64 {
	list := make([]int64, len(events))
	for i, e := range events {
		list[i] = e.Version
	}
	return list
}

func user(n int) string { return fmt.Sprintf("user-%04d", n) }
