// Command tally counts the results of a test suite.
//
// With -suite it reads what `go test -json` writes from its standard input, shows each failed test with its output
// and each skipped one with its reason, and writes the counts to a file in the -results folder. With -total it adds
// up those files and ends with the plain line "N passed, N failed, N skipped". It exits 1 when a test failed, or
// when none ran at all.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	suite := flag.String("suite", "", "name of the suite whose go test -json output comes on standard input")
	results := flag.String("results", "build/results", "folder that the counts are written to")
	total := flag.String("total", "", "folder of counts to add up")
	flag.Parse()

	ok, err := false, error(nil)
	switch {
	case *total != "":
		ok, err = addUp(os.Stdout, *total)
	case *suite != "":
		ok, err = countSuite(os.Stdout, os.Stdin, *suite, *results)
	default:
		err = fmt.Errorf("say -suite NAME or -total FOLDER")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// countSuite counts one suite, shows what is worth showing, and keeps the counts for addUp.
// It reports whether tests ran and all of them passed or were skipped.
func countSuite(out io.Writer, in io.Reader, suite, results string) (bool, error) {
	c, err := count(out, in)
	if err != nil {
		return false, err
	}
	for _, s := range c.Skipped {
		fmt.Fprintf(out, "skipped %s: %s\n", s.Test, s.Reason)
	}
	fmt.Fprintf(out, "suite %s: %s\n", suite, c)
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return false, err
	}
	return c.ok(), os.WriteFile(filepath.Join(results, suite+".json"), append(text, '\n'), 0o644)
}

// addUp prints a line for each suite and ends with the plain total.
func addUp(out io.Writer, folder string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return false, err
	}
	var total counts
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		var c counts
		if err := json.Unmarshal(text, &c); err != nil {
			return false, fmt.Errorf("%s: %w", file, err)
		}
		name := filepath.Base(file)
		fmt.Fprintf(out, "suite %s: %s\n", name[:len(name)-len(".json")], c)
		for _, s := range c.Skipped {
			fmt.Fprintf(out, "    skipped %s: %s\n", s.Test, s.Reason)
		}
		total.Passed += c.Passed
		total.Failed = append(total.Failed, c.Failed...)
		total.Skipped = append(total.Skipped, c.Skipped...)
	}
	for _, name := range total.Failed {
		fmt.Fprintf(out, "    failed %s\n", name)
	}
	fmt.Fprintln(out, total)
	return total.ok(), nil
}
