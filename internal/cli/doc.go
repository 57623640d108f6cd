// Package cli is the command line: it fills the matrix's catalog from the
// registries, runs the plan and prints the reports. One command per file.
//
// Results go to standard output, messages to standard error. A message is one
// line that says what is wrong, where, and what to do next; -v adds the rest.
package cli
