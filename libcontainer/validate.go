package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/seccomp"
	"berth/spec"
)

// validateID stands in for a container's id.
const validateID = "ID"

// Validate lists all that would keep a container from being made of a bundle, as
// far as that is known without making one, and what would be warned of: first what
// is wrong with the document itself, and where nothing is, what this host cannot do
// of it. config names another file than the bundle's config.json, or is empty. The
// error is of a file that cannot be read.
func (r *Runtime) Validate(bundle, config string) (problems, warnings []string, err error) {
	bundle, err = filepath.Abs(bundle)
	if err != nil {
		return nil, nil, fmt.Errorf("bundle %q: %w", bundle, err)
	}
	if config == "" {
		config = filepath.Join(bundle, configFile)
	}
	data, err := os.ReadFile(config)
	if err != nil {
		return nil, nil, fmt.Errorf("--bundle: %w", err)
	}
	s, err := spec.Parse(data)
	if err != nil {
		return []string{err.Error()}, nil, nil // a document is read up to its first mistake
	}
	b := &Bundle{Path: bundle, Spec: s, Config: data}
	problems, warnings = validateDocument(b)
	if len(problems) > 0 {
		return problems, warnings, nil
	}
	out, err := r.Plan(&CreateOptions{ID: validateID, Bundle: b, Wait: true})
	if err != nil {
		return lines(err), warnings, nil
	}
	return nil, append(warnings, out.Warnings...), nil
}

// validateDocument judges a bundle by itself.
func validateDocument(b *Bundle) (problems, warnings []string) {
	found, warnings := spec.Check(b.Spec)
	var missing spec.Problems
	if err := spec.RequireProcess(b.Spec); errors.As(err, &missing) {
		found = append(found, missing...)
	}
	for _, p := range found {
		problems = append(problems, p.String())
	}
	if b.Spec.Root != nil {
		if err := b.checkRootfs(); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if profile := seccompProfile(b.Spec); profile != nil && len(found) == 0 {
		if _, err := seccomp.Compile(profile, func(string) {}); err != nil {
			problems = append(problems, lines(err)...)
		}
	}
	return problems, warnings
}

func seccompProfile(s *specs.Spec) *specs.LinuxSeccomp {
	if s.Linux == nil {
		return nil
	}
	return s.Linux.Seccomp
}

// lines takes an error apart that has several joined in it.
func lines(err error) []string {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var all []string
	for _, e := range joined.Unwrap() {
		all = append(all, lines(e)...)
	}
	return all
}
