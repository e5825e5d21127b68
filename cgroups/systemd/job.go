package systemd

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// errorNoSuchUnit and errorUnitExists are what systemd calls these.
const (
	errorNoSuchUnit = destination + ".NoSuchUnit"
	errorUnitExists = destination + ".UnitExists"
)

// call calls a method of the manager. A bus on which there is none, or no more,
// must not try to start one.
func (c *Conn) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return c.manager.CallWithContext(ctx, managerInterface+"."+method, dbus.FlagNoAutoStart, args...)
}

// property reads a property of one of the manager's objects.
func property(ctx context.Context, object dbus.BusObject, from, name string) (string, error) {
	var value dbus.Variant
	err := object.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, from, name).Store(&value)
	if err != nil {
		return "", err
	}
	text, ok := value.Value().(string)
	if !ok {
		return "", fmt.Errorf("the property %s is %s, not a string", name, value)
	}
	return text, nil
}

// wireProperty and auxUnit are the D-Bus types (sv) and (sa(sv)).
type wireProperty struct {
	Name  string
	Value dbus.Variant
}

type auxUnit struct {
	Name       string
	Properties []wireProperty
}

func wire(list []Property) []wireProperty {
	out := make([]wireProperty, len(list))
	for i := range list {
		out[i] = wireProperty{list[i].Name, dbus.MakeVariant(list[i].Value)}
	}
	return out
}

// Start starts the container's scope, and the slices around it that are not
// there, and returns once the process is in it.
//
// A unit of that name that failed, from a container that ended badly, is
// forgotten first; one that is active is an error. When systemd does not get
// done in time, the error names the job and what state it is in, and the job is
// cancelled and the unit stopped.
func (c *Conn) Start(u Unit, properties []Property) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	watching := c.watch(ctx, u.Name)
	job, err := c.startTransient(ctx, u.Name, properties)
	if problem := watching(); problem != nil {
		if err == nil || ctx.Err() != nil { // it may yet happen
			problem = c.afterwards(problem, c.abandon(u.Name, job))
		}
		return problem
	}
	if isError(err, errorUnitExists) {
		if err = c.forget(ctx, u.Name); err != nil {
			return fmt.Errorf("%s: %w", pathField, err)
		}
		job, err = c.startTransient(ctx, u.Name, properties)
	}
	if err != nil {
		err = blame(properties, err, c.explain("start the unit "+u.Name, err))
		if ctx.Err() != nil {
			// It may yet happen.
			err = c.afterwards(err, c.abandon(u.Name, ""))
		}
		return err
	}
	result, err := c.wait(ctx, job)
	switch {
	case err != nil:
		hung := c.hung(job, "start", u.Name, err)
		return c.afterwards(hung, c.abandon(u.Name, job))
	case result != "done":
		err := fmt.Errorf("%s: start the unit %s: %s ended the job with the result %q: see `%s status %s`",
			pathField, u.Name, c, result, c.systemctl(), u.Name)
		return c.afterwards(err, c.abandon(u.Name, ""))
	}
	return nil
}

func (c *Conn) startTransient(ctx context.Context, name string, properties []Property) (dbus.ObjectPath, error) {
	var job dbus.ObjectPath
	err := c.call(ctx, "StartTransientUnit", name, "replace", wire(properties), []auxUnit{}).Store(&job)
	return job, err
}

// blame puts the place of a property before the error, where systemd's message
// names the property.
func blame(properties []Property, cause, err error) error {
	var e dbus.Error
	if !errors.As(cause, &e) {
		return err
	}
	for i := len(properties) - 1; i >= 0; i-- {
		if p := &properties[i]; p.Origin != "" && strings.Contains(e.Error(), p.Name) {
			return fmt.Errorf("%s: %w", p.Origin, err)
		}
	}
	return err
}

// forget makes systemd drop a failed unit of the name that is wanted.
func (c *Conn) forget(ctx context.Context, name string) error {
	state, err := c.activeState(ctx, name)
	if err != nil {
		return err
	}
	if state != "failed" && state != "inactive" {
		return fmt.Errorf("systemd has a unit %s already, which is %s: another container uses this name; remove that one, or choose another (see `%s status %s`)",
			name, state, c.systemctl(), name)
	}
	return c.resetFailed(ctx, name)
}

func (c *Conn) activeState(ctx context.Context, name string) (string, error) {
	var unit dbus.ObjectPath
	if err := c.call(ctx, "GetUnit", name).Store(&unit); err != nil {
		return "", c.explain("look for the unit "+name, err)
	}
	state, err := property(ctx, c.bus.Object(destination, unit), destination+".Unit", "ActiveState")
	if err != nil {
		return "", c.explain("ask for the state of the unit "+name, err)
	}
	return state, nil
}

func (c *Conn) resetFailed(ctx context.Context, name string) error {
	err := c.call(ctx, "ResetFailedUnit", name).Err
	if err != nil && !isError(err, errorNoSuchUnit) {
		return c.explain("forget the failed unit "+name, err)
	}
	return nil
}

// Stop stops the scope, which kills what is left in it, and removes its cgroup.
// A unit that is gone is no error. What does not end at SIGTERM in time gets
// SIGKILL.
func (c *Conn) Stop(u Unit) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	watching := c.watch(ctx, u.Name)
	var job dbus.ObjectPath
	err := c.call(ctx, "StopUnit", u.Name, "replace").Store(&job)
	problem := watching()
	if isError(err, errorNoSuchUnit) {
		return nil
	}
	if problem != nil {
		return problem
	}
	if err != nil {
		return c.explain("stop the unit "+u.Name, err)
	}
	if _, err := c.wait(ctx, job); err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			return c.hung(job, "stop", u.Name, err)
		}
		if err := c.kill(u.Name, job, err); err != nil {
			return err
		}
	}
	ctx, cancel = context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	return c.resetFailed(ctx, u.Name)
}

// kill ends what did not stop, and cancels the job if not even that helps.
func (c *Conn) kill(name string, job dbus.ObjectPath, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	hung := c.hung(job, "stop", name, cause)
	err := c.call(ctx, "KillUnit", name, "all", int32(9)).Err
	if err != nil && !isError(err, errorNoSuchUnit) {
		return c.afterwards(hung, c.explain("kill the processes of the unit "+name, err))
	}
	if _, err := c.wait(ctx, job); err != nil {
		return c.afterwards(hung, c.cancel(job))
	}
	return nil
}

// Update sets properties of a running scope: all or none, as systemd promises.
// It returns when systemd has written its cgroup files, so that what cgroups/fs
// writes next stands.
//
// undo are the properties as they were; a caller whose further steps fail gives
// them to Update again.
func (c *Conn) Update(u Unit, properties []Property) (undo []Property, err error) {
	if len(properties) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	undo, err = c.present(ctx, u.Name, properties)
	if err != nil {
		return nil, err
	}
	// true: until the unit stops or the machine reboots.
	err = c.call(ctx, "SetUnitProperties", u.Name, true, wire(properties)).Err
	if err != nil {
		return nil, blame(properties, err, c.explain("change the unit "+u.Name, err))
	}
	// systemd answers first and writes afterwards, before it looks at the next
	// message.
	if err := c.manager.CallWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		return undo, c.explain("wait for the change of the unit "+u.Name, err)
	}
	return undo, nil
}

// present reads what the properties are now, in a form that sets them back.
func (c *Conn) present(ctx context.Context, name string, properties []Property) ([]Property, error) {
	var unit dbus.ObjectPath
	if err := c.call(ctx, "GetUnit", name).Store(&unit); err != nil {
		return nil, c.explain("look for the unit "+name, err)
	}
	var all map[string]dbus.Variant
	err := c.bus.Object(destination, unit).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, destination+".Scope").Store(&all)
	if err != nil {
		return nil, c.explain("read the properties of the unit "+name, err)
	}
	undo := make([]Property, 0, len(properties))
	for i := range properties {
		p := &properties[i]
		value, ok := all[p.Name]
		if !ok {
			// systemd will refuse it, and so change nothing.
			continue
		}
		if _, ok := p.Value.([]DeviceLimit); !ok {
			undo = append(undo, Property{p.Name, value.Value(), p.Origin})
			continue
		}
		// godbus reads the structs of such a list as lists. What is set adds to
		// it, unless it is empty.
		var limits []DeviceLimit
		if err := value.Store(&limits); err != nil {
			return nil, fmt.Errorf("read the property %s of the unit %s: %w", p.Name, name, err)
		}
		undo = append(undo, Property{p.Name, []DeviceLimit{}, p.Origin})
		if len(limits) > 0 {
			undo = append(undo, Property{p.Name, limits, p.Origin})
		}
	}
	return undo, nil
}

// watch asks for the signals that tell of the ends of the unit's jobs, and of no
// other's any more. systemd sends them to who started the job, but a bus passes
// on only what is asked for.
//
// It does not wait: what is called next comes to the bus after it. Whether the bus
// agrees, the function says that it returns.
func (c *Conn) watch(ctx context.Context, unit string) (agreed func() error) {
	if c.jobs == nil {
		c.jobs = make(chan *dbus.Signal, 16)
		c.bus.Signal(c.jobs)
	}
	if c.direct || c.watched == unit {
		return func() error { return nil }
	}
	rule := func(method, unit string) *dbus.Call {
		return c.bus.BusObject().GoWithContext(ctx, "org.freedesktop.DBus."+method, 0, nil,
			"type='signal',sender='"+destination+"',path='"+string(managerPath)+"',interface='"+managerInterface+
				"',member='JobRemoved',arg2='"+unit+"'")
	}
	calls := []*dbus.Call{rule("AddMatch", unit)}
	if c.watched != "" {
		calls = append(calls, rule("RemoveMatch", c.watched))
	}
	c.watched = unit
	return func() error {
		for _, call := range calls {
			<-call.Done
			if call.Err != nil {
				c.watched = ""
				return c.explain("listen for the end of the jobs of the unit "+unit, call.Err)
			}
		}
		return nil
	}
}

// wait waits for the job's end and returns its result.
func (c *Conn) wait(ctx context.Context, job dbus.ObjectPath) (string, error) {
	for {
		select {
		case s, ok := <-c.jobs:
			if !ok {
				return "", errors.New("the connection was closed")
			}
			if s.Name != managerInterface+".JobRemoved" {
				continue
			}
			var id uint32
			var ended dbus.ObjectPath
			var unit, result string
			if err := dbus.Store(s.Body, &id, &ended, &unit, &result); err != nil {
				return "", fmt.Errorf("read the signal JobRemoved: %w", err)
			}
			if ended == job {
				return result, nil
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// hung says which job did not end, and what systemd says of it. It has to be
// called before the job is cancelled.
func (c *Conn) hung(job dbus.ObjectPath, verb, unit string, cause error) error {
	if !errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("%s the unit %s: wait for its job %s: the connection to %s failed: %w", verb, unit, path.Base(string(job)), c, cause)
	}
	return &timeoutError{fmt.Sprintf("%s the unit %s: its job %s did not end within %v: %s (see `%s list-jobs`)",
		verb, unit, path.Base(string(job)), c.timeout, c.jobState(job), c.systemctl())}
}

// jobState describes a job that is still there, and those it may wait for.
func (c *Conn) jobState(job dbus.ObjectPath) string {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	var all []struct {
		ID                uint32
		Unit, Type, State string
		Job, UnitPath     dbus.ObjectPath
	}
	err := c.call(ctx, "ListJobs").Store(&all)
	if err != nil {
		return fmt.Sprintf("and %s does not answer any more (%v)", c, err)
	}
	state := "systemd no longer knows it"
	var others []string
	for i := range all {
		j := &all[i]
		if j.Job == job {
			state = "it is " + j.State + " (" + j.Type + " " + j.Unit + ")"
		} else if len(others) < 5 {
			others = append(others, j.Type+" "+j.Unit+" is "+j.State)
		}
	}
	if len(others) == 0 {
		return state + ", and there is no other job"
	}
	return state + ", among " + strconv.Itoa(len(all)) + " jobs: " + strings.Join(others, ", ")
}

// abandon takes back a start: it cancels the job, if there is one, and stops the
// unit without waiting for that.
func (c *Conn) abandon(name string, job dbus.ObjectPath) error {
	var problem error
	if job != "" {
		problem = c.cancel(job)
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	err := c.call(ctx, "StopUnit", name, "replace").Err
	if err != nil && !isError(err, errorNoSuchUnit) {
		return errors.Join(problem, c.explain("stop the unit "+name, err))
	}
	return errors.Join(problem, c.resetFailed(ctx, name))
}

func (c *Conn) cancel(job dbus.ObjectPath) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	err := c.bus.Object(destination, job).CallWithContext(ctx, destination+".Job.Cancel", 0).Err
	if err != nil && !isError(err, "org.freedesktop.DBus.Error.UnknownObject") {
		return c.explain("cancel its job "+path.Base(string(job)), err)
	}
	return nil
}

// afterwards joins an error and that of the attempt to clean up after it.
func (c *Conn) afterwards(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	return fmt.Errorf("%w; cleaning up failed too: %w", err, cleanup)
}

// systemctl is the command that shows this manager's units.
func (c *Conn) systemctl() string {
	if c.user {
		return "systemctl --user"
	}
	return "systemctl"
}

// isError tells whether systemd gave the error of this D-Bus name.
func isError(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}
