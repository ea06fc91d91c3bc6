package engine

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
var reasons = map[Reason]struct {
	text string
	code uint16
}{
	TransportClose: {"transport close", 1000},
	TransportError: {"transport error", 1011},
	PingTimeout:    {"ping timeout", 1011},
	ParseError:     {"parse error", 1002},
	TooLarge:       {"message too large", 1009},
	NotText:        {"text only", 1003},
	NotUTF8:        {"not UTF-8", 1007},
	ForcedClose:    {"forced close", 1000},
	Drained:        {"server shutting down", 4001},
	SlowConsumer:   {"slow consumer", 4002},
	Expired:        {"token expired", 4003},
	Disconnected:   {"disconnected by the server", 4004},
	Refused:        {"refused", 1008},
	ConnectTimeout: {"connect timeout", 1008},

	ClientDisconnect: {"client namespace disconnect", 1000},
}

// String returns the reason in words.
func (r Reason) String() string { return reasons[r].text }

// Code returns the close code that a plain WebSocket is closed with.
func (r Reason) Code() int { return int(reasons[r].code) }

// closeFrame returns the WebSocket close frame that says goodbye. Engine.IO
// gives no code, but where WebSocket itself asks for one.
func (r Reason) closeFrame(p Protocol) []byte {
	const finClose = 0x88
	code, text := reasons[r].code, reasons[r].text
	if p == EngineIO && code != 1007 && code != 1009 {
		return []byte{finClose, 0}
	}
	frame := append([]byte{finClose, byte(2 + len(text)), byte(code >> 8), byte(code)}, text...)
	return frame
}
