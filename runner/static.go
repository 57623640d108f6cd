package runner

import (
	"debug/elf"
	"fmt"
	"os"

	"kqual/matrix"
)

// guestProgram returns the program that becomes PID 1: path, or this very
// program. It must be static: there is no C library in the guest.
func guestProgram(path string) (string, error) {
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return "", fmt.Errorf("find this program's own file: %w", err)
		}
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", &matrix.Failure{
				Side:   matrix.SideHost,
				Reason: path + " is linked dynamically and cannot run as the guest's PID 1",
				Hint:   "build it with CGO_ENABLED=0 (make build)",
			}
		}
	}
	return path, nil
}
