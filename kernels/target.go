package kernels

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"kqual/matrix"
)

// target is an architecture that kernels are for. Each has a file of its own,
// which registers it.
type target struct {
	arch string // as Debian and Go call it
	// format is what people call its images.
	format string
	// parse reads what an image says about itself; an error where it is none for
	// this architecture.
	parse func(image []byte) (imageHeader, error)

	// What a build of it calls: make's ARCH, the goal, and where the goal lies.
	makeArch, goal, built string
	// cross begins the names of the tools for it where the host is of another
	// architecture; crossPackage is the Debian package that has them.
	cross, crossPackage string
}

// imageHeader is what an image says about itself.
type imageHeader struct {
	release string // uname -r; empty where only what is packed in it tells
	payload []byte // the packed kernel
	// write unpacks the payload to a file that QEMU enters directly. nil where
	// the image is such a file itself.
	write func(payload []byte, dst string) error
}

var targets = map[string]*target{}

func registerTarget(t target) { targets[t.arch] = &t }

// Architectures lists what kernels can be for.
func Architectures() []string { return slices.Sorted(maps.Keys(targets)) }

// target is the architecture of the kernel that env is for.
func (env Env) target() *target { return targets[cmp.Or(env.Arch, matrix.DefaultArch)] }

// of is env for one kernel of the matrix.
func (env Env) of(k matrix.Kernel) Env {
	env.Arch = k.Machine.Architecture()
	return env
}

// inspect is parse with an error that says what to do. what names the image.
func (t *target) inspect(what string, image []byte) (imageHeader, error) {
	h, err := t.parse(image)
	if err == nil {
		return h, nil
	}
	for _, arch := range Architectures() {
		if other := targets[arch]; other != t {
			if _, err := other.parse(image); err == nil {
				return h, &matrix.Failure{
					Side: matrix.SideKernel, Reason: fmt.Sprintf("%s is a kernel for %s, and the matrix says %s", what, arch, t.arch),
					Hint: "write arch: " + arch + " below the kernel's name, or name an image for " + t.arch,
				}
			}
		}
	}
	return h, &matrix.Failure{Side: matrix.SideKernel, Reason: fmt.Sprintf("%s: %v", what, err), Hint: "name " + t.format}
}

// compiler is the program that compiles for the architecture here, where cc
// would on its own host. Clang compiles for all of them.
func (t *target) compiler(cc string) string {
	if t.arch == runtime.GOARCH || !strings.HasPrefix(cc, "gcc") {
		return cc
	}
	return t.cross + cc
}

// vars are what make must know of the architecture.
func (t *target) vars() []string {
	if t.arch == runtime.GOARCH {
		return []string{"ARCH=" + t.makeArch}
	}
	return []string{"ARCH=" + t.makeArch, "CROSS_COMPILE=" + t.cross}
}

// CrossCompiler is the program, and its Debian package, that builds for an
// architecture need beside those of every build; empty for that of the host.
func CrossCompiler(arch string) (program, pkg string) {
	t := targets[arch]
	if t == nil || t.arch == runtime.GOARCH {
		return "", ""
	}
	return t.compiler(defaultCompiler), t.crossPackage
}

// checkCompiler says what to install where the compiler is not here.
func (t *target) checkCompiler() error {
	program, pkg := CrossCompiler(t.arch)
	if program == "" {
		return nil
	}
	if _, err := exec.LookPath(program); err != nil {
		return &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("arch %s cannot be built here: %s is not installed", t.arch, program),
			Hint: "apt-get install " + pkg,
		}
	}
	return nil
}

// banner is the first thing that a kernel says (linux_banner in init/version.c).
var banner = regexp.MustCompile(`Linux version ([0-9][^\s\x00]{0,255}) \(`)

// releaseInside finds the release in an unpacked kernel.
func releaseInside(kernel []byte) string {
	for at := 0; ; {
		// The expression alone takes ten times as long over 40 MB.
		i := bytes.Index(kernel[at:], []byte("Linux version "))
		if i < 0 {
			return ""
		}
		at += i
		if m := banner.FindSubmatch(kernel[at:min(len(kernel), at+512)]); m != nil && bytes.HasPrefix(kernel[at:], m[0]) {
			return string(m[1])
		}
		at++
	}
}
