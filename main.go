// Moim is a real-time group server. It stores groups of people and sends every
// change of a group, in order, to its connected members.
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
		kong.Description("Moim is a real-time group server."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(printHelp),
		kong.UsageOnError(),
	)
	if err != nil {
		return err
	}
	if err := refuseUnknown(parser.Model, args); err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return command.Run(&loader{file: cli.Config, flags: flags})
}
