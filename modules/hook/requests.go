package hook

import "github.com/moim-live/moim/modules/group/dto"

// reading is the part of a request that records the mistakes in its JSON.
type reading struct{ wrong mistakes }

const aString = "a string"

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: [Service.Create] reports the
// mistakes.
func (d *Draft) UnmarshalJSON(data []byte) error {
	d.wrong = dto.Fields(data, map[string]dto.Field{
		"name": {To: &d.Name, Want: aString}, "url": {To: &d.URL, Want: aString}, "events": {To: &d.Events, Want: "a list of types of events"},
		"secret": {To: &d.Secret, Want: aString}, "since": {To: &d.Since, Want: aString},
	})
	return nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: [Service.Change] reports the
// mistakes.
func (p *Patch) UnmarshalJSON(data []byte) error {
	p.wrong = dto.Fields(data, map[string]dto.Field{
		"url": {To: &p.URL, Want: aString}, "events": {To: &p.Events, Want: "a list of types of events"}, "secret": {To: &p.Secret, Want: aString},
		"rotate": {To: &p.Rotate, Want: "true or false"}, "enabled": {To: &p.Enabled, Want: "true or false"},
	})
	return nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: [Service.Replay] reports the
// mistakes.
func (r *ReplayRequest) UnmarshalJSON(data []byte) error {
	r.wrong = dto.Fields(data, map[string]dto.Field{"groupId": {To: &r.GroupID, Want: aString}, "since": {To: &r.Since, Want: aString}})
	return nil
}
