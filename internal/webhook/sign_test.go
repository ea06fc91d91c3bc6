package webhook

import (
	"strings"
	"testing"
	"time"
)

// TestSignatureOfSpecification signs the example that Standard Webhooks publishes with its
// libraries. The signature must be the published one.
func TestSignatureOfSpecification(t *testing.T) {
	t.Parallel()
	const (
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		id     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		body   = `{"test": 2432232314}`
		want   = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	)
	at := time.Unix(1614265330, 0)
	got, err := sign([]string{secret}, id, at, []byte(body))
	if err != nil || got != want {
		t.Errorf("signed %q, %v, want %q", got, err, want)
	}
	both, err := sign([]string{NewSecret(), secret}, id, at, []byte(body))
	if err != nil || !strings.HasSuffix(both, " "+want) || strings.Count(both, "v1,") != 2 {
		t.Errorf("two secrets signed %q, %v", both, err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	if key, err := keyOf(NewSecret()); err != nil || len(key) != 32 {
		t.Errorf("a new secret has a key of %d bytes, %v", len(key), err)
	}
	for _, bad := range []string{"", "whsec_", "whsec_!", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + strings.Repeat("AAAA", 22)} {
		if CheckSecret(bad) == nil {
			t.Errorf("%q counts as a secret", bad)
		}
	}
}
