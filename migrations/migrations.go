// Package migrations holds the schema of both databases, step by step.
package migrations

import "embed"

// FS holds a folder of steps for each dialect: sqlite and postgres. What a step
// that was released does never changes; what comes later is a new step in both.
//
//go:embed sqlite/*.sql postgres/*.sql
var FS embed.FS
