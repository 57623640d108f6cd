package runner

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"kqual/matrix"
)

// guests holds the guest programs of other architectures than the host's, as
// make build has put them there.
//
//go:embed programs
var guests embed.FS

// addInit puts PID 1 into an initramfs: where the architecture is the host's, the
// program at path, or this very one; otherwise one that was built into this one.
func (a *arch) addInit(to *archive, path string) error {
	const name, mode = "init", 0o755
	if a.native() {
		path, err := guestProgram(path)
		to.copyFile(name, mode, path)
		return err
	}
	program, err := a.embedded()
	to.file(name, mode, program)
	return err
}

// CheckGuest says why there is no guest program for an architecture, if so.
func CheckGuest(arch string) error { return arches[arch].checkInit("") }

// checkInit says whether there is a PID 1.
func (a *arch) checkInit(path string) error {
	if a.native() {
		_, err := guestProgram(path)
		return err
	}
	_, err := a.embedded()
	return err
}

// embedded is the program that was built into this one.
func (a *arch) embedded() ([]byte, error) {
	packed, err := guests.ReadFile("programs/" + a.name + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &matrix.Failure{
			Side: matrix.SideHost, Reason: "this kqual has no guest program for " + a.name + " in it",
			Hint: "build it in its source with make build, which puts one in; go build and go install alone do not",
		}
	}
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the guest program for %s: %w", a.name, err)
	}
	program, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpack the guest program for %s: %w", a.name, err)
	}
	return program, nil
}
