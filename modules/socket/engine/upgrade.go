package engine

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
)

// keyBytes is the length of a handshake's nonce.
const keyBytes = 16

// refuseUpgrade answers a request that cannot become a WebSocket (RFC 6455,
// section 4.2.1), and reports whether it did.
func refuseUpgrade(w http.ResponseWriter, r *http.Request) bool {
	versions, keys := r.Header.Values("Sec-Websocket-Version"), r.Header.Values("Sec-Websocket-Key")
	switch {
	case !r.ProtoAtLeast(1, 1) || !websocket.IsWebSocketUpgrade(r):
		upgradeRequired(w, "this is a WebSocket: open it with one, over HTTP/1.1")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a WebSocket is opened with GET", http.StatusMethodNotAllowed)
	case len(versions) > 1:
		http.Error(w, "more than one header Sec-WebSocket-Version", http.StatusBadRequest)
	case len(versions) == 0 || versions[0] != "13":
		upgradeRequired(w, "only version 13 of the WebSocket protocol is spoken here")
	case len(keys) != 1 || !validKey(keys[0]):
		http.Error(w, "one header Sec-WebSocket-Key with 16 bytes in base64 is needed", http.StatusBadRequest)
	default:
		return false
	}
	return true
}

// upgradeRequired says what would be accepted.
func upgradeRequired(w http.ResponseWriter, why string) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Sec-Websocket-Version", "13")
	http.Error(w, why, http.StatusUpgradeRequired)
}

func validKey(key string) bool {
	nonce, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(nonce) == keyBytes
}

// joinSubprotocols makes one line of a list that was sent on several (RFC 9110,
// section 5.2): gorilla reads the first line only.
func joinSubprotocols(header http.Header) {
	const name = "Sec-Websocket-Protocol"
	if lines := header[name]; len(lines) > 1 {
		header[name] = []string{strings.Join(lines, ", ")}
	}
}
