package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/moim-live/moim/config"
)

// serving is the command whose help lists the configuration.
const serving = "serve"

// printHelp prints the help of a command. Every command takes each key of the
// configuration as a flag; only the help of serve lists them.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if slices.Contains(ctx.Args, serving) {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	for _, flag := range ctx.Model.Flags {
		flag.Hidden = flag.Hidden || flag.Group != nil && flag.Group.Key == config.FlagGroup
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(ctx.Stdout, "\nThe configuration comes from moim.yaml, MOIM_ variables and flags such as --database-url.\n"+
		"\"moim serve --help\" lists its keys, \"moim config\" prints the values in force.")
	return err
}

// refuseUnknown returns an error if the first argument looks like a command but is not one.
func refuseUnknown(model *kong.Application, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return nil
	}
	var names []string
	for _, command := range model.Children {
		names = append(names, command.Name)
	}
	if slices.Contains(names, args[0]) {
		return nil
	}
	hint := "\"moim --help\" lists the commands"
	if name := config.Closest(args[0], names); name != "" {
		hint = fmt.Sprintf("did you mean %q?", name)
	}
	return fmt.Errorf("unknown command %q: %s", args[0], hint)
}

// Help returns examples for the help of the command.
func (serveCommand) Help() string {
	return "Example: moim serve --http-addr 0.0.0.0:8080 --database-url postgres://moim:secret@db/moim --redis-url redis://redis:6379"
}

// Help returns examples for the help of the command.
func (checkCommand) Help() string {
	return "Nothing is changed, and a node may be running. The exit code is 1 if a line says fail.\n\n" +
		"Examples:\n\n moim check --config /etc/moim.yaml\n\n moim check --ready"
}

// Help returns examples for the help of the command.
func (tokenCommand) Help() string {
	return "The token is signed with auth.secret, or with the development secret in data.dir.\n\n" +
		"Examples:\n\n moim token --user alice --ttl 10m\n\n moim token --user billing --scope admin"
}

// Help returns examples for the help of the command.
func (migrateUp) Help() string {
	return "A node does the same at its start. Example: moim migrate up --database-url postgres://moim:secret@db/moim"
}

// Help returns examples for the help of the command.
func (migrateDown) Help() string {
	return "What the migration's tables hold is lost. Example: moim migrate down"
}

// Help returns examples for the help of the command.
func (migrateStatus) Help() string { return "Example: moim migrate status" }

// Help returns examples for the help of the command.
func (redisCheck) Help() string { return "Example: moim redis check --redis-url redis://redis:6379" }

// Help returns examples for the help of the command.
func (redisMove) Help() string {
	return "Nodes go on while the role moves. docs/redis-move.md describes the phases.\n\n" +
		"Example: moim redis move --role socket --to redis://redis-socket:6379"
}

// Help returns examples for the help of the command.
func (effectiveCommand) Help() string {
	return "Each line ends with where the value comes from. Example: moim config --config /etc/moim.yaml"
}
