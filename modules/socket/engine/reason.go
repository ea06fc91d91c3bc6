package engine

import "github.com/gorilla/websocket"

// Reason says why a connection ended.
type Reason int

// The reasons.
const (
	TransportClose   Reason = iota + 1 // the client closed it
	TransportError                     // the network failed
	PingTimeout                        // the client did not answer a heartbeat
	ParseError                         // the client broke the protocol
	TooLarge                           // the client sent more than Config.MaxFrame
	NotText                            // the client sent a binary message
	NotUTF8                            // the client sent text that is not UTF-8
	Drained                            // the node stops: the client should reconnect
	SlowConsumer                       // the client did not read fast enough
	Expired                            // the token expired: the client needs a new one
	Disconnected                       // the back end closed it
	Refused                            // the client was not admitted
	ConnectTimeout                     // the client did not connect to a namespace in time
	ClientDisconnect                   // the client left the namespace
	ServerDisconnect                   // the server removed the client from the namespace
	RateLimited                        // the client went on with requests beyond its limits
	Flooded                            // the client sent too many control packets
	Revoked                            // the client's token was revoked
)

// reasons holds the text of each reason, which is Socket.IO's where it has one, and
// the close code for plain WebSockets.
var reasons = [...]struct {
	text string
	code int
}{
	0:                {"unknown", websocket.CloseInternalServerErr},
	TransportClose:   {"transport close", websocket.CloseNormalClosure},
	TransportError:   {"transport error", websocket.CloseInternalServerErr},
	PingTimeout:      {"ping timeout", websocket.CloseInternalServerErr},
	ParseError:       {"parse error", websocket.CloseProtocolError},
	TooLarge:         {"message too large", websocket.CloseMessageTooBig},
	NotText:          {"text only", websocket.CloseUnsupportedData},
	NotUTF8:          {"not UTF-8", websocket.CloseInvalidFramePayloadData},
	Drained:          {"server shutting down", 4001},
	SlowConsumer:     {"slow consumer", 4002},
	Expired:          {"token expired", 4003},
	Disconnected:     {"disconnected by the server", 4004},
	Refused:          {"refused", websocket.ClosePolicyViolation},
	ConnectTimeout:   {"connect timeout", websocket.ClosePolicyViolation},
	ClientDisconnect: {"client namespace disconnect", websocket.CloseNormalClosure},
	ServerDisconnect: {"server namespace disconnect", websocket.CloseNormalClosure},
	RateLimited:      {"rate limited", 4005},
	Revoked:          {"token revoked", 4006},
	Flooded:          {"too many control packets", websocket.ClosePolicyViolation},
}

// known returns r, or 0 for a value that is none of the reasons.
func (r Reason) known() Reason {
	if r < 0 || int(r) >= len(reasons) {
		return 0
	}
	return r
}

// String returns the reason in words.
func (r Reason) String() string { return reasons[r.known()].text }

// Code returns the close code for a plain WebSocket.
func (r Reason) Code() int { return reasons[r.known()].code }

// closeFrame returns the close frame for a reason. Engine.IO sends a code only
// where the WebSocket protocol requires one.
func (r Reason) closeFrame(p Protocol) *Frame {
	if p == EngineIO && r != NotUTF8 && r != TooLarge && r != Flooded {
		return closeFrame(websocket.CloseNoStatusReceived, "")
	}
	return closeFrame(r.Code(), r.String())
}

func closeFrame(code int, text string) *Frame {
	return controlFrame(opClose, websocket.FormatCloseMessage(code, text))
}
