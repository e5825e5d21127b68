package main

import (
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
)

// skipList is the file tests/vm/skips: the tests that may be skipped, where, and why that is right.
type skipList struct {
	mutex sync.Mutex // guards used
	rows  []*skipRow
	// reference says that the runtime under test is not berth: what only berth has or promises (the suite's
	// berthOnly and newerThanReference) may then be skipped.
	reference bool
}

// skipRow is a line of the file: MACHINE/JOB TEST WHY.
type skipRow struct {
	line      int
	job, test string // shell patterns, see path.Match; a test's name is matched a level at a time
	why       string
	used      bool
}

func readSkips(name string) (*skipList, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	list, err := parseSkips(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return list, nil
}

func parseSkips(text string) (*skipList, error) {
	list := &skipList{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%d: want MACHINE/JOB TEST WHY, have %q", i+1, line)
		}
		row := &skipRow{line: i + 1, job: fields[0], test: fields[1], why: strings.Join(fields[2:], " ")}
		for _, pattern := range []string{row.job, row.test} {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("%d: pattern %q: %w", i+1, pattern, err)
			}
		}
		list.rows = append(list.rows, row)
	}
	return list, nil
}

// why tells whether the job's test, which gave that reason, may be skipped, and on what ground.
func (s *skipList) why(job, test, reason string) (string, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.reference && (strings.HasPrefix(reason, "berth only: ") || strings.Contains(reason, " lacks it: ")) {
		return "not berth", true
	}
	for _, row := range s.rows {
		jobOK, _ := path.Match(row.job, job) // the patterns were tried when they were read
		testOK, _ := path.Match(row.test, test)
		if jobOK && testOK {
			row.used = true
			return row.why, true
		}
	}
	return "", false
}

// unused lists the rows that allowed nothing.
func (s *skipList) unused() []*skipRow {
	var rows []*skipRow
	for _, row := range s.rows {
		if !row.used {
			rows = append(rows, row)
		}
	}
	return rows
}
