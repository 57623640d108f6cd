// Command eater is a PID 1 that takes all memory: the kernel runs out of it.
package main

func main() {
	var kept [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
}
