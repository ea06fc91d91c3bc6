package engine

import (
	"slices"

	"github.com/gorilla/websocket"
)

// Reason is the reason why a connection ended.
type Reason int

// The reasons.
const (
	TransportClose   Reason = iota + 1 // the client closed the connection
	TransportError                     // the network failed
	PingTimeout                        // the client did not answer a heartbeat
	ParseError                         // the client broke the protocol
	TooLarge                           // the client sent more than Config.MaxFrame
	NotText                            // the client sent a binary message
	NotUTF8                            // the client sent text that is not UTF-8
	Drained                            // the node is stopping; the client should reconnect
	SlowConsumer                       // the client did not read fast enough
	Expired                            // the token expired: the client needs a new one
	Disconnected                       // the back end closed it
	Refused                            // the client was not admitted
	ConnectTimeout                     // the client did not connect to a namespace in time
	ClientDisconnect                   // the client left the namespace
	ServerDisconnect                   // the server removed the client from the namespace
	RateLimited                        // the client kept sending requests beyond its limits
	Flooded                            // the client sent too many control packets
	Revoked                            // the client's token was revoked
)

// Values of [CloseCode].Next: what a client should do.
const (
	Reconnect = "reconnect" // reconnect with the same token
	NewToken  = "token"     // reconnect with a new token
	Stop      = "stop"      // do not reconnect automatically
)

// reasons holds for each reason its text (Socket.IO's if it has one), the close code for
// plain WebSockets, and what the client should do.
var reasons = [...]struct {
	text string
	code int
	next string
}{
	0:                {"unknown", websocket.CloseInternalServerErr, Reconnect},
	TransportClose:   {"transport close", websocket.CloseNormalClosure, Stop},
	TransportError:   {"transport error", websocket.CloseInternalServerErr, Reconnect},
	PingTimeout:      {"ping timeout", websocket.CloseInternalServerErr, Reconnect},
	ParseError:       {"parse error", websocket.CloseProtocolError, Stop},
	TooLarge:         {"message too large", websocket.CloseMessageTooBig, Stop},
	NotText:          {"text only", websocket.CloseUnsupportedData, Stop},
	NotUTF8:          {"not UTF-8", websocket.CloseInvalidFramePayloadData, Stop},
	Drained:          {"server shutting down", 4001, Reconnect},
	SlowConsumer:     {"slow consumer", 4002, Reconnect},
	Expired:          {"token expired", 4003, NewToken},
	Disconnected:     {"disconnected by the server", 4004, Stop},
	Refused:          {"refused", websocket.ClosePolicyViolation, Stop},
	ConnectTimeout:   {"connect timeout", websocket.ClosePolicyViolation, Reconnect},
	ClientDisconnect: {"client namespace disconnect", websocket.CloseNormalClosure, Stop},
	ServerDisconnect: {"server namespace disconnect", websocket.CloseNormalClosure, Stop},
	RateLimited:      {"rate limited", 4005, Stop},
	Revoked:          {"token revoked", 4006, NewToken},
	Flooded:          {"too many control packets", websocket.ClosePolicyViolation, Stop},
}

// known returns r, or 0 if r is not one of the reasons.
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

// CloseCode is a code with which the server closes a plain WebSocket.
type CloseCode struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	Next   string `json:"next"` // Reconnect, NewToken or Stop
}

// CloseCodes returns the codes by number. A code may have several reasons.
func CloseCodes() []CloseCode {
	var codes []CloseCode
	for r := TransportClose; int(r) < len(reasons); r++ {
		// After these, the client is gone or has no plain WebSocket.
		if r != TransportClose && r != TransportError && r != Refused && r != ConnectTimeout && r != ClientDisconnect {
			codes = append(codes, CloseCode{reasons[r].code, reasons[r].text, reasons[r].next})
		}
	}
	slices.SortStableFunc(codes, func(a, b CloseCode) int { return a.Code - b.Code })
	return codes
}

// closeFrame returns the close frame for a reason. With Engine.IO it has a code only where
// the WebSocket protocol requires one.
func (r Reason) closeFrame(p Protocol) *Frame {
	if p == EngineIO && r != NotUTF8 && r != TooLarge && r != Flooded {
		return closeFrame(websocket.CloseNoStatusReceived, "")
	}
	return closeFrame(r.Code(), r.String())
}

func closeFrame(code int, text string) *Frame {
	return controlFrame(opClose, websocket.FormatCloseMessage(code, text))
}
