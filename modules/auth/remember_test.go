package auth

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRemember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		verifications := 0
		begin := time.Now()
		good := map[string]Identity{
			"long":  {UserID: "ana", Expires: begin.Add(time.Hour)},
			"short": {UserID: "bo", Expires: begin.Add(time.Second)},
		}
		r := Remember(func(_ context.Context, token string) (Identity, error) {
			verifications++
			id, ok := good[token]
			if !ok || !time.Now().Before(id.Expires) {
				return Identity{}, errors.New("not good")
			}
			return id, nil
		})
		check := func(token, user string, want int) {
			t.Helper()
			id, err := r.Verify(t.Context(), token)
			if id.UserID != user || (err == nil) != (user != "") || verifications != want {
				t.Errorf("after %v %s speaks for %q, %v, verified %d times, want %d", time.Since(begin), token, id.UserID, err, verifications, want)
			}
		}
		check("long", "ana", 1)
		check("long", "ana", 1)
		check("short", "bo", 2)
		check("short", "bo", 2)
		check("bad", "", 3)
		check("bad", "", 4) // refused tokens are not remembered
		time.Sleep(time.Second)
		check("short", "", 5) // exp is checked exactly
		delete(good, "long")
		check("long", "ana", 5)
		time.Sleep(rememberFor)
		check("long", "", 6)
		good["long"] = Identity{UserID: "ana", Expires: time.Now().Add(time.Hour)}
		check("long", "ana", 7)
		delete(good, "long")
		r.Forget()
		check("long", "", 8)
	})
}
