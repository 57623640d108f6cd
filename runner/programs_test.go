package runner

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The guest program that is built in must be the one of this source: with
// another one kqual would measure something else on that architecture.
func TestGuestsOfOtherArchitecturesAreBuiltIn(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, name := range Architectures() {
		if name == runtime.GOARCH {
			continue
		}
		t.Run(name, func(t *testing.T) {
			got, err := arches[name].embedded()
			if err != nil && os.Getenv("KQUAL_VM") != "1" {
				t.Skip(err) // make test builds it
			}
			if err != nil {
				t.Fatal(err)
			}
			f, err := elf.NewFile(bytes.NewReader(got))
			if err != nil || f.Machine != machines[name] {
				t.Fatalf("it is for %v: %v", f.Machine, err)
			}
			path := filepath.Join(t.TempDir(), "guest")
			cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", path, "./guest/program")
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("it has %d bytes and is not what the source makes, %d bytes; run make guests", len(got), len(want))
			}
		})
	}
}

func TestAMissingGuestIsSaid(t *testing.T) {
	err := (&arch{name: "vax"}).checkInit("")
	if err == nil || !strings.Contains(err.Error(), "no guest program for vax") {
		t.Errorf("error %v", err)
	}
}
