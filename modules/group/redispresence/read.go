package redispresence

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// read lists the users whom live nodes have. Nodes are asked for after users,
// so that no user is missed because his node has just come.
func (s *Store) read(ctx context.Context, groupID, epoch string) ([]string, error) {
	pipe := s.client.Pipeline()
	users := pipe.HGetAll(ctx, s.keys.group(groupID, epoch))
	live := pipe.Eval(ctx, liveSource, []string{s.keys.nodes()}, s.away())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("list who is present: %w", err)
	}
	alive, err := liveNodes(live, epoch)
	if err != nil {
		return nil, err
	}
	var there []string
	for userID, nodes := range users.Val() {
		for id := range strings.FieldsSeq(nodes) {
			if alive[id] {
				there = append(there, userID)
				break
			}
		}
	}
	return there, nil
}

// liveNodes reads the answer of live.lua. It fails when the server does not
// know, or not yet again, who is there.
func liveNodes(live *redis.Cmd, epoch string) (map[string]bool, error) {
	answer, err := live.Slice()
	switch {
	case err != nil:
		return nil, fmt.Errorf("list live nodes: %w", err)
	case len(answer) < 2:
		return nil, fmt.Errorf("list live nodes: an answer of %d parts", len(answer))
	case answer[0] != epoch:
		return nil, errForgotten
	case answer[1] != int64(0):
		return nil, errWaiting
	}
	alive := make(map[string]bool, len(answer))
	for _, id := range texts(answer[2:]) {
		alive[id] = true
	}
	return alive, nil
}

// count counts the users of groups, those of dead nodes that nobody has swept
// yet among them.
func (s *Store) count(ctx context.Context, groupIDs []string, epoch string) ([]int, error) {
	pipe := s.client.Pipeline()
	sizes := make([]*redis.IntCmd, len(groupIDs))
	for i, groupID := range groupIDs {
		sizes[i] = pipe.HLen(ctx, s.keys.group(groupID, epoch))
	}
	live := pipe.Eval(ctx, liveSource, []string{s.keys.nodes()}, s.away())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("count who is present: %w", err)
	}
	if _, err := liveNodes(live, epoch); err != nil {
		return nil, err
	}
	counts := make([]int, len(groupIDs))
	for i, size := range sizes {
		counts[i] = int(size.Val())
	}
	return counts, nil
}
