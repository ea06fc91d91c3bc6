//go:build linux

package moim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/moim-live/moim/bench/peers"
	"github.com/moim-live/moim/modules/auth"
)

// atOnce is how many members one call may add.
const atOnce = 500

// populate makes a group a room and its members, as a back end does.
func populate(ctx context.Context, addr string, need peers.Need) ([]string, error) {
	token, err := mint(auth.Identity{UserID: "owner", Admin: true})
	if err != nil {
		return nil, err
	}
	sizes := need.Sizes()
	groups := make([]string, len(sizes))
	for room, members := range sizes {
		var group struct{ ID string }
		if err := call(ctx, token, "http://"+addr+"/v1/groups", map[string]any{"name": fmt.Sprintf("Room %d", room)}, &group); err != nil {
			return nil, err
		}
		groups[room] = group.ID
		for from := 0; from < members; from += atOnce {
			var users []string
			for member := from; member < min(from+atOnce, members); member++ {
				users = append(users, userOf(room, member))
			}
			url := "http://" + addr + "/v1/groups/" + group.ID + "/members"
			if err := call(ctx, token, url, map[string]any{"userIds": users}, nil); err != nil {
				return nil, err
			}
		}
	}
	return groups, nil
}

func call(ctx context.Context, token, url string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := post(ctx, token, url, text)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if text, err = io.ReadAll(response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("POST %s: %s: %s", url, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

func post(ctx context.Context, token, url string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// requests posts as an application's back end: to any group, without being a
// member.
func requests(groups []string, what string) (func(context.Context, string, int, []byte) (*http.Request, error), error) {
	token, err := mint(auth.Identity{UserID: "backend", Admin: true})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, addr string, room int, payload []byte) (*http.Request, error) {
		body := append([]byte(`{"type":"chat","data":`), payload...)
		return post(ctx, token, "http://"+addr+"/v1/groups/"+groups[room]+"/"+what, append(body, '}'))
	}, nil
}
