// Command sleeper is a PID 1 that never says hello.
package main

import "time"

func main() { time.Sleep(time.Hour) }
