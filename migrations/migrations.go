// Package migrations holds the schema of both databases, in steps.
package migrations

import "embed"

// FS holds a folder of steps for each dialect: sqlite and postgres. The effect of a released
// step never changes. Later changes are new steps in both folders.
//
//go:embed sqlite/*.sql postgres/*.sql
var FS embed.FS
