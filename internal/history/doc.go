// Package history keeps the results of many runs in one SQLite file, so that a
// night can be compared with the nights before it. docs/history.md has the
// schema for people.
package history
