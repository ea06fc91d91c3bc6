package console

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
)

// configurationPage is the data of the view Configuration.
type configurationPage struct {
	Node     string
	Settings []Setting
	OnlySet  bool // hide the defaults
}

// configuration shows the configuration in force on this node.
func (c *Console) configuration(_ context.Context, v visit) (any, error) {
	if err := group.BackEndMay(v.caller, auth.ReadNodes); err != nil {
		return nil, err
	}
	page := configurationPage{Node: c.deps.Node(), OnlySet: v.query("only") == "set"}
	for _, s := range c.deps.Settings() {
		if !page.OnlySet || s.Source != "default" {
			page.Settings = append(page.Settings, s)
		}
	}
	return page, nil
}
