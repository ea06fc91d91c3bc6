// Moim is a real-time group server. It stores groups of people and sends every
// change of a group, in order, to its connected members.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/moim-live/moim/config"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version string

func main() {
	if version == "" {
		version = versionOf(debug.ReadBuildInfo())
	}
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
	if len(args) > 0 && args[0] == "help" { // as git and go have it
		args = append(slices.Clone(args[1:]), "--help")
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

// versionOf returns the version that Go has recorded: that of "go install …@v1.2.3", or one
// derived from the commit. It returns dev if there is none.
func versionOf(info *debug.BuildInfo, ok bool) string {
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}
