//go:build race

package reports

// raceFactor is how much more time and memory the race detector may take.
const raceFactor = 8
