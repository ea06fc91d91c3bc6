package auth_test

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
)

// hostileTokens are the tokens that cost a verifier the most before it finds that the signature
// is wrong. With times = 100, they have nearly the 16 KiB that a token may have.
var hostileTokens = map[string]func(times int) string{
	"deep header": func(times int) string { return unsigned(`{"alg":"HS256","x":`+nested(55*times)+`}`, `{}`) },
	"deep claim":  func(times int) string { return unsigned(`{"alg":"HS256"}`, `{"aud":`+nested(55*times)+`}`) },
	"wide claims": func(times int) string {
		return unsigned(`{"alg":"HS256"}`, `{"sub":"x"`+strings.Repeat(`,"":0`, 22*times)+`}`)
	},
	"many scopes": func(times int) string {
		return unsigned(`{"alg":"HS256"}`, `{"scope":"`+strings.Repeat("a ", 55*times)+`"}`)
	},
	"a long number": func(times int) string {
		return unsigned(`{"alg":"HS256"}`, `{"exp":`+strings.Repeat("9", 110*times)+`}`)
	},
	"dots": func(times int) string { return strings.Repeat(".", 160*times) },
}

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

func unsigned(header, claims string) string {
	segment := base64.RawURLEncoding.EncodeToString
	return segment([]byte(header)) + "." + segment([]byte(claims)) + ".AAAA"
}

func hostileVerifier(tb testing.TB) *auth.Verifier {
	tb.Helper()
	v, err := auth.New(auth.Config{Secret: secret}, discard)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// TestHostileTokensAreRefusedInProportion checks that the cost of a token grows no faster than
// its size, because anyone may send one.
func TestHostileTokensAreRefusedInProportion(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	v := hostileVerifier(t)
	for name, grow := range hostileTokens {
		token := grow(100)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := v.Verify(t.Context(), token)
		runtime.ReadMemStats(&after)
		if cost := int(after.TotalAlloc - before.TotalAlloc); err == nil || cost > 64*len(token) {
			t.Errorf("%s: %d bytes take %d of memory (%v)", name, len(token), cost, err)
		}
	}
}

// BenchmarkHostileToken refuses tokens of growing size. The time for each byte must not grow.
func BenchmarkHostileToken(b *testing.B) {
	v := hostileVerifier(b)
	for name, grow := range hostileTokens {
		for _, times := range []int{1, 10, 100} {
			token := grow(times)
			b.Run(fmt.Sprintf("%s/%dx", name, times), func(b *testing.B) {
				b.SetBytes(int64(len(token)))
				for b.Loop() {
					_, _ = v.Verify(b.Context(), token)
				}
			})
		}
	}
}
