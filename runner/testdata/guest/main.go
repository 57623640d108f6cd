// Command guest is kqual's guest without its host side.
package main

import "kqual/runner/guest"

func main() { guest.Main() }
