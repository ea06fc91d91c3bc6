// Package tools lists what is needed to check Moim, apart from Moim's own dependencies.
package tools

import _ "github.com/oapi-codegen/runtime" // the generated Go client of the end-to-end tests
