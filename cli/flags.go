package cli

import (
	"slices"

	"github.com/urfave/cli/v3"
)

// value returns the value of a command's flag by its first name; the empty one
// where the command has no such flag, since create, run and restore share the
// function that reads theirs. c.String and its like do the same, but list every
// flag's names anew for each question, and exec asks twenty.
func value[T any](c *cli.Command, flag string) T {
	f := flagNamed(c, flag)
	if f == nil {
		var none T
		return none
	}
	return f.Get().(T)
}

// isSet says whether the flag was given.
func isSet(c *cli.Command, flag string) bool {
	f := flagNamed(c, flag)
	return f != nil && f.IsSet()
}

func flagNamed(c *cli.Command, flag string) cli.Flag {
	for _, f := range c.Flags {
		if name, _ := namesOf(f); name == flag {
			return f
		}
	}
	return nil
}

// findFlag returns the one of flags that has a name, its first or another; nil
// for none.
func findFlag(flags []cli.Flag, flag string) cli.Flag {
	for _, f := range flags {
		if name, aliases := namesOf(f); name == flag || slices.Contains(aliases, flag) {
			return f
		}
	}
	return nil
}

// namesOf returns the names of a flag of one of the kinds that berth has; any
// other, such as the library's own --help, tells them at a price.
func namesOf(f cli.Flag) (name string, aliases []string) {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return f.Name, f.Aliases
	case *cli.StringFlag:
		return f.Name, f.Aliases
	case *cli.StringSliceFlag:
		return f.Name, f.Aliases
	case *cli.IntFlag:
		return f.Name, f.Aliases
	case *cli.DurationFlag:
		return f.Name, f.Aliases
	}
	names := f.Names()
	return names[0], names[1:]
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}
