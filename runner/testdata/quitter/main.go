// Command quitter is a PID 1 that returns: the kernel panics.
package main

func main() {}
