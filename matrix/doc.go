// Package matrix says what to test and what the answers mean: the parsed
// matrix file, the ordered plan of cells, the outcome that a guest reports for
// a cell, and the arithmetic that turns outcomes into verdicts and findings.
//
// It is pure: no file, no network, no process, no clock. What other packages
// register (kernel sources, event sources, checks, scenarios, filesystems)
// reaches the parser as a [Catalog].
package matrix
