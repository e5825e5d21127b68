package compile

import "berth/libcontainer/plan"

// compileUnsupported refuses what the configuration asks for and this version
// does not do: passed over in silence, it would be missed later.
func (c *compiler) compileUnsupported() {
	l := c.linux()
	if l.IntelRdt != nil {
		c.problem(plan.At("linux.intelRdt"), "Intel RDT is not supported by this version of berth yet: take it out")
	}
}
