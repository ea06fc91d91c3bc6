// Moim is a real-time group server: it keeps groups of people and shows every
// change of a group, at once and in order, to the members connected.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"github.com/moim-live/moim/config"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "moim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var cli commands
	flags := config.Flags()
	cli.Plugins = kong.Plugins{flags}
	parser, err := kong.New(&cli,
		kong.Name("moim"),
		kong.Description("A real-time group server."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.UsageOnError(),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return command.Run(&loader{file: cli.Config, flags: flags})
}
