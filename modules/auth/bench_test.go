package auth_test

import (
	"testing"
	"time"

	"github.com/moim-live/moim/modules/auth"
)

// BenchmarkVerify measures the cost of the token of each socket that connects.
func BenchmarkVerify(b *testing.B) {
	v, err := auth.New(auth.Config{Secret: secret}, discard)
	if err != nil {
		b.Fatal(err)
	}
	token, err := auth.Mint([]byte(secret), auth.Identity{UserID: "alice", Name: "Alice", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
