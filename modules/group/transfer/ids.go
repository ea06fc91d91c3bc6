package transfer

import (
	"crypto/sha256"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/group/dto"
)

// GroupID returns Moim's id for a group in a file. An id in Moim's format stays unchanged.
// Any other text becomes a UUID of version 8: 48 zero bits, so that these groups come last
// in lists, and then the first 80 bits of the SHA-256 hash of "moim group", a line feed and
// the text.
func GroupID(source string) string {
	if dto.ValidGroupID(source) {
		return source
	}
	return hashed("moim group\n" + source).String()
}

// inviteID returns the id of an invite whose line has no id.
func inviteID(codeHash string) string { return hashed("moim invite\n" + codeHash).String() }

func hashed(text string) (id uuid.UUID) {
	sum := sha256.Sum256([]byte(text))
	copy(id[6:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
