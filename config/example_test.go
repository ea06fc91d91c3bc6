package config_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/moim-live/moim/config"
)

// A flag overrides the environment, which overrides the file, which overrides the default.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "moim")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := "group.limit.members: 100\ngroup.limit.owned: 10\nhttp.addr: 127.0.0.1:9000\n"
	if err := os.WriteFile(filepath.Join(dir, config.DefaultFile), []byte(file), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	cfg, err := config.Load(config.Options{
		Dir:     dir,
		Environ: []string{"MOIM_GROUP_LIMIT_OWNED=20", "MOIM_HTTP_ADDR=127.0.0.1:9001"},
		Flags:   map[string]string{"http.addr": "127.0.0.1:9002"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("default:    ", cfg.Group.LimitJoined)
	fmt.Println("file:       ", cfg.Group.LimitMembers)
	fmt.Println("environment:", cfg.Group.LimitOwned)
	fmt.Println("flag:       ", cfg.HTTP.Addr)
	// Output:
	// default:     10000
	// file:        100
	// environment: 20
	// flag:        127.0.0.1:9002
}

// A mistake is reported with its place, and all mistakes are reported together. A node does not
// start with a key that it does not know.
func ExampleLoad_mistakes() {
	_, err := config.Load(config.Options{
		Environ: []string{"MOIM_HTTP_ADR=:9001", "MOIM_DRAIN_DEADLINE=soon"},
	})
	fmt.Println(err)
	// Output:
	// MOIM_HTTP_ADR: there is no such key; did you mean MOIM_HTTP_ADDR?
	// MOIM_DRAIN_DEADLINE: must be a duration like 5s, 200ms or 24h
}
