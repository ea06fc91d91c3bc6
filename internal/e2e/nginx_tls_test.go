package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestBehindNginxWithTLS enables TLS in deploy/nginx.conf. HTTP/2 and WebSockets must work below
// a prefix. Heartbeats must keep an idle socket open for longer than proxy_read_timeout. A
// timeout below socket.ping.interval must close it. All times are much shorter than in the file.
func TestBehindNginxWithTLS(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_SOCKET_PING_INTERVAL=2s", "MOIM_HTTP_PROXIES=127.0.0.0/8")
	trusted, changes := tlsLines(t)
	long := startNginx(t, []*node{n}, append(changes, "proxy_read_timeout 60s", "proxy_read_timeout 5s")...)
	short := startNginx(t, []*node{n}, append(changes, "proxy_read_timeout 60s", "proxy_read_timeout 500ms")...)

	client := &http.Client{Timeout: answerWithin, Transport: &http.Transport{TLSClientConfig: trusted.Clone(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	res, err := client.Get("https://" + long + "/rt/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		t.Errorf("/rt/readyz: %s over %s", res.Status, res.Proto)
	}

	began := time.Now()
	if pings, err := idle(t, trusted, long, 4); pings < 4 {
		t.Errorf("the idle socket was closed after %d heartbeats: %v", pings, err)
	} else if took := time.Since(began); took < 6*time.Second {
		t.Errorf("four heartbeats took %s: they do not outlast the timeout", took)
	}
	if pings, err := idle(t, trusted, short, 1); pings > 0 || err == nil {
		t.Errorf("a socket whose heartbeats are rarer than the timeout stays open: %d heartbeats, %v", pings, err)
	}
}

// idle opens a socket below /rt and sends only heartbeats. It returns their number after until
// heartbeats, or when the socket is closed.
func idle(t *testing.T, trusted *tls.Config, addr string, until int) (int, error) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"moim", "bearer." + mint("alice", time.Hour)}, TLSClientConfig: trusted}
	ws, res, err := dialer.DialContext(t.Context(), "wss://"+addr+"/rt/ws", nil)
	if err != nil {
		t.Fatalf("%v: %v", err, res)
	}
	defer ws.Close()
	pings := 0
	answer := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		if pings++; pings == until {
			return os.ErrDeadlineExceeded // enough heartbeats
		}
		return answer(data)
	})
	if err := ws.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return pings, err
		}
	}
}

// tlsLines returns the edits of deploy/nginx.conf that enable TLS, and a client configuration
// that trusts the certificate.
func tlsLines(t *testing.T) (*tls.Config, []string) {
	t.Helper()
	issuer := httptest.NewTLSServer(http.NotFoundHandler())
	defer issuer.Close()
	key, err := x509.MarshalPKCS8PrivateKey(issuer.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "moim.crt"), filepath.Join(dir, "moim.key")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(issuer.Certificate())
	return &tls.Config{RootCAs: roots}, []string{
		"    listen 80;\n", "",
		"# listen 443 ssl http2;", "listen 443 ssl http2;",
		"# ssl_certificate     /etc/nginx/moim.crt;", "ssl_certificate " + certFile + ";",
		"# ssl_certificate_key /etc/nginx/moim.key;", "ssl_certificate_key " + keyFile + ";",
	}
}
