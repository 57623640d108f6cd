// Command program is kqual's guest without its host side: PID 1 of machines of
// another architecture than the host's, and of tests. scripts/guests builds it
// for every architecture.
package main

import "kqual/runner/guest"

func main() { guest.Main() }
