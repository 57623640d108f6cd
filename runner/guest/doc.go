// Package guest is what runs inside the virtual machine: PID 1, the mounts and
// modules, and the reproducer with everything that can be varied in it.
//
// Four kinds of extension register themselves here, one file each:
//
//   - watch_*.go: an event source (inotify, fanotify)
//   - check_*.go: what a reader does before it trusts what it opened
//   - scenario_*.go: a way a name dies
//   - fs_*.go: a filesystem, its image made on the host and its mount in the guest
//
// Scenarios with two processes have the second one from partner.go: the same
// program, started again.
//
// The host links this package too: it hands the registries to the matrix
// parser and makes the filesystem images.
package guest
