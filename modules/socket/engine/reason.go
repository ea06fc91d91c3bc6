package engine

import "github.com/gorilla/websocket"

// Reason says why a connection ended.
type Reason int

// The reasons.
const (
	TransportClose   Reason = iota + 1 // the client closed it
	TransportError                     // the network did
	PingTimeout                        // the client did not answer a heartbeat
	ParseError                         // the client broke the protocol
	TooLarge                           // the client sent more than Config.MaxFrame
	NotText                            // the client sent bytes where text is spoken
	NotUTF8                            // the client sent text that is none
	ForcedClose                        // this side closed it
	Drained                            // the node stops: come back, to another one
	SlowConsumer                       // the client did not read fast enough
	Expired                            // the token expired: come back with another
	Disconnected                       // the application's back end closed it
	Refused                            // the client was not let in
	ConnectTimeout                     // the client connected and then asked for nothing
	ClientDisconnect                   // the client left the namespace
)

// reasons gives each reason the text that Socket.IO servers use, where there is
// one, and the close code of a plain WebSocket.
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
	ForcedClose:      {"forced close", websocket.CloseNormalClosure},
	Drained:          {"server shutting down", 4001},
	SlowConsumer:     {"slow consumer", 4002},
	Expired:          {"token expired", 4003},
	Disconnected:     {"disconnected by the server", 4004},
	Refused:          {"refused", websocket.ClosePolicyViolation},
	ConnectTimeout:   {"connect timeout", websocket.ClosePolicyViolation},
	ClientDisconnect: {"client namespace disconnect", websocket.CloseNormalClosure},
}

// String returns the reason in words.
func (r Reason) String() string {
	if r < 0 || int(r) >= len(reasons) {
		r = 0
	}
	return reasons[r].text
}

// Code returns the close code that a plain WebSocket is closed with.
func (r Reason) Code() int {
	if r < 0 || int(r) >= len(reasons) {
		r = 0
	}
	return reasons[r].code
}

// closeFrame returns the goodbye for a reason. Engine.IO gives no code, but
// where WebSocket itself asks for one.
func (r Reason) closeFrame(p Protocol) *Frame {
	if p == EngineIO && r != NotUTF8 && r != TooLarge {
		return closeFrame(websocket.CloseNoStatusReceived, "")
	}
	return closeFrame(r.Code(), r.String())
}

func closeFrame(code int, text string) *Frame {
	return controlFrame(opClose, websocket.FormatCloseMessage(code, text))
}
