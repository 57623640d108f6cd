// Package nightly is what one night has beside a run: which directory it goes
// on in, what of the nights before it is still good, what changed, and what is
// published and pruned.
package nightly
