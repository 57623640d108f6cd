// Package e2e holds the tests that run the real program the way a user does:
// the default matrix on real kernels, the keyboard, a kill. They need
// KQUAL_VM=1.
package e2e
