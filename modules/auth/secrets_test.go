package auth_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
)

func TestPreviousSecret(t *testing.T) {
	t.Parallel()
	before := "the secret from before the change, which is long enough"
	old := sign(t, hs256, []byte(before), base(nil))
	if _, err := open(t, auth.Config{Secret: secret, PreviousSecret: before}).Verify(t.Context(), old); err != nil {
		t.Errorf("a token of the previous secret: %v", err)
	}
	_, err := open(t, auth.Config{Secret: secret}).Verify(t.Context(), old)
	refused(t, err, old, "signature")
	for _, cfg := range []auth.Config{{PreviousSecret: before, PublicKey: rsaPEM}, {Secret: secret, PreviousSecret: "short"}} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "auth.secret.previous") || strings.Contains(err.Error(), before) {
			t.Errorf("%v", err)
		}
	}
}

func TestMint(t *testing.T) {
	t.Parallel()
	want := auth.Identity{UserID: "back end", Name: "Back End", Admin: true, Expires: time.Now().Add(time.Minute).Truncate(time.Second)}
	for _, cfg := range []auth.Config{{Secret: secret}, {Secret: secret, Issuer: "https://id.example", Audience: "moim"}} {
		token, err := cfg.Mint(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := open(t, cfg).Verify(t.Context(), token)
		if age := time.Since(got.Issued); age < 0 || age > time.Minute {
			t.Errorf("it was issued %s ago", age)
		}
		got.Issued = time.Time{}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	limited, err := want.WithScope("groups:read  admin signals:write")
	if err != nil || !limited.Admin || limited.Calls.String() != "groups:read signals:write" {
		t.Errorf("%+v, %v", limited, err)
	}
	token, err := auth.Config{Secret: secret}.Mint(limited)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, auth.Config{Secret: secret}).Verify(t.Context(), token); err != nil || !got.Admin || got.Calls != limited.Calls {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := want.WithScope("group:read"); err == nil {
		t.Error("an unknown scope was accepted")
	}
	for name, bad := range map[string]auth.Identity{
		"no user":  {Expires: want.Expires},
		"no end":   {UserID: "a"},
		"bad user": {UserID: "a\n", Expires: want.Expires},
	} {
		if _, err := auth.Mint([]byte(secret), bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := auth.Mint([]byte("short"), want); err == nil {
		t.Error("a short secret was accepted")
	}
}

func TestDevelopmentSecret(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "data")
	const racers = 8
	type result struct {
		secret  []byte
		created bool
		err     error
	}
	results := make(chan result, racers)
	for range racers {
		go func() {
			s, created, err := auth.DevelopmentSecret(dir)
			results <- result{s, created, err}
		}()
	}
	created := 0
	var first []byte
	for range racers {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		if r.created {
			created++
		}
		if first == nil {
			first = r.secret
		}
		if !bytes.Equal(first, r.secret) || len(r.secret) != 64 {
			t.Errorf("%q and %q", first, r.secret)
		}
	}
	if created != 1 {
		t.Errorf("created %d times", created)
	}
	file := filepath.Join(dir, "dev-secret")
	for path, want := range map[string]os.FileMode{file: 0o600, dir: 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if contents, err := os.ReadFile(file); err != nil || !bytes.Equal(contents, first) {
		t.Errorf("the file has %q, %v, not the secret alone", contents, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := auth.New(auth.Config{Secret: string(first)}, discard); err != nil {
		t.Error(err)
	}
	for _, damaged := range []string{"", "abc", strings.Repeat("g", 64)} {
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := auth.DevelopmentSecret(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}

// TestSetSecrets replaces the secrets of a verifier while it is used.
func TestSetSecrets(t *testing.T) {
	t.Parallel()
	const next = "the secret after that, of 32 bytes"
	sign := func(key string) string {
		token, err := auth.Mint([]byte(key), auth.Identity{UserID: "alice", Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	v := open(t, auth.Config{PublicKey: rsaPEM})
	check := func(step, token string, want bool) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); (err == nil) != want {
			t.Errorf("%s: %v", step, err)
		}
	}
	check("no secret", sign(secret), false)
	v.SetSecrets(secret, "")
	check("a secret", sign(secret), true)
	v.SetSecrets(next, secret)
	check("the one before", sign(secret), true)
	check("the next one", sign(next), true)
	v.SetSecrets(next, "")
	check("the one before that", sign(secret), false)
	v.SetSecrets("", "")
	check("none", sign(next), false)
}
