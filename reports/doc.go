// Package reports renders what a run learned. [Build] turns raw kernel runs
// into a [Report]; every format renders that one model, and a saved report
// renders again without the matrix it came from.
package reports
