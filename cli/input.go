package cli

import (
	"errors"
	"io"
	"os"

	"berth/spec"
)

// readInput reads and parses a file that an argument names, or with "-" standard
// input. It returns the name that the file goes by in errors, too.
func readInput[T any](file string, parse func([]byte) (T, error)) (value T, name string, err error) {
	var data []byte
	if file == "-" {
		file = "standard input"
		data, err = io.ReadAll(os.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return value, file, err
	}
	value, err = parse(data)
	if parse, ok := errors.AsType[*spec.ParseError](err); ok {
		parse.File = file
	}
	return value, file, err
}
