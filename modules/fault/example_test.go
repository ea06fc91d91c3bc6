package fault_test

import (
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/fault"
)

// A program declares its errors once. The code does not change. Where the error is returned, the
// program may set the message and the cause. It is still the same error.
func ExampleNew() {
	errFull := fault.New(fault.Conflict, "room_full", "the room is full")
	err := fmt.Errorf("join: %w", errFull.WithMessage("the room takes four").WithCause(errors.New("4 of 4 rows")))

	seen := fault.From(err)
	fmt.Println(seen.Code, "-", seen.Message)
	fmt.Println(errors.Is(err, errFull))
	// Output:
	// room_full - the room takes four
	// true
}

// An error without a code is internal, and a client does not get its text.
func ExampleFrom() {
	seen := fault.From(errors.New("dial tcp 10.1.2.3:5432: connection refused"))
	fmt.Println(seen.Code, "-", seen.Message)
	fmt.Println("for the log:", errors.Unwrap(seen))
	// Output:
	// internal - internal error
	// for the log: dial tcp 10.1.2.3:5432: connection refused
}

// All mistakes of a request are reported together, each with its field.
func ExampleValidation() {
	err := fault.Validation(
		fault.Field{Field: "name", Message: "must not be empty"},
		fault.Field{Field: "seats[2]", Message: "is taken"},
	)
	for _, field := range err.Fields {
		fmt.Println(field.Field, field.Message)
	}
	fmt.Println(err.Code)
	// Output:
	// name must not be empty
	// seats[2] is taken
	// validation_failed
}
