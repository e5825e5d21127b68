// Package libcontainer is a container's life: it is created, started, killed
// and deleted here, and its state is kept on disk between the commands.
//
// A container's folder under the state root holds:
//
//	state.json   what later commands need; written atomically
//	config.json  the configuration as it was at create
//	exec.fifo    where start tells a created container to go on; removed then
//	report.fifo  where it says that it could not
//
// The folder itself is locked (flock(2)) by whoever changes the container.
package libcontainer
