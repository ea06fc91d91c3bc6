package group

import "slices"

// TransferRequest names the member who is to own a group.
type TransferRequest struct {
	UserID string `json:"userId" doc:"a member's user id"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *TransferRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *TransferRequest) read(b *body) { b.take("userId", &r.UserID, "a string") }

// Validate reports all mistakes at once, as validation_failed.
func (r TransferRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	m.userID("userId", r.UserID)
	return m.err()
}
