package console

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/auth"
)

// demo is the initial data of the demonstration.
type demo struct {
	Version string
	Guests  guests
}

// guests are users that exist for one page only: the two that it shows, and the host. The
// host owns the group, so that the two can leave it.
type guests struct {
	Host    guest   `json:"host"`
	Members []guest `json:"members"`
}

type guest struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Token string `json:"token"`
}

func (c *Console) guests() (guests, error) {
	visit := strings.ToLower(rand.Text()[:6])
	var made []guest
	for _, name := range []string{"Host", "Mina", "Joon"} {
		g := guest{ID: strings.ToLower(name) + "-" + visit, Name: name}
		token, err := c.deps.Mint(auth.Identity{UserID: g.ID, Name: name, Expires: time.Now().Add(guestTTL)})
		if err != nil {
			return guests{}, err
		}
		g.Token = token
		made = append(made, g)
	}
	return guests{Host: made[0], Members: made[1:]}, nil
}
