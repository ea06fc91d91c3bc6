// Package tools lists dependencies of Moim's checks that Moim itself does not need.
package tools

import _ "github.com/oapi-codegen/runtime" // the generated Go client of the end-to-end tests
