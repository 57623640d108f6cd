//go:build !race

package reports

const raceFactor = 1
