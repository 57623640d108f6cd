// Package runner boots each kernel of a plan in a virtual machine, has its
// guest measure the kernel's cells, and returns what was learned: an outcome
// for every cell, or the reason why there is none.
package runner
