package runner

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"kqual/matrix"
)

// bootFault is a fault of what is booted: it strikes before the guest runs.
type bootFault struct {
	name, means string
	change      func(t *testing.T, b *boot)
	args        []string // added to the kernel's command line
	without     string   // taken from it
	program     string   // of testdata; empty for guest
	side        matrix.Side
	fails       string // regular expression; empty where the boot must succeed
}

var bootFaults = []bootFault{
	{
		name: "no-init", means: "rdinit=/nowhere", args: []string{"rdinit=/nowhere"},
		side: matrix.SideBoot, fails: `^panic: Kernel panic - not syncing: `,
	},
	{
		name: "wrong-root", means: "root=/dev/nowhere without an init", args: []string{"rdinit=/nowhere", "root=/dev/nowhere"},
		side: matrix.SideBoot, fails: `^panic: Kernel panic - not syncing: VFS: Unable to mount root fs`,
	},
	{
		name: "other-arch", means: "an init for another architecture", change: otherArchitecture,
		side: matrix.SideBoot, fails: `^panic: Kernel panic - not syncing: `,
	},
	{
		name: "cut-init", means: "an init that is cut off behind its headers", change: cutGuest,
		side: matrix.SideBoot, fails: `^panic: Kernel panic - not syncing: `,
	},
	{
		name: "little-memory", means: "mem=24M: no room for the initramfs", args: []string{"mem=24M"},
		side: matrix.SideBoot, fails: `^(panic: Kernel panic - not syncing: |deadline: |lost channel: )`,
	},
	{
		name: "silent", means: "console=ttyS3, which is not there; init sleeps", args: []string{"console=ttyS3"}, without: "console=ttyS0", program: "sleeper",
		side: matrix.SideBoot, fails: `^deadline: no record within .*, and nothing on the console$`,
	},
	{name: "one-cpu", means: "nosmp", args: []string{"nosmp"}},
	{
		name: "cut-kernel", means: "the kernel image is cut to a half", change: cutKernel(2),
		side: matrix.SideHost, fails: `^QEMU: `,
	},
	{
		name: "no-kernel", means: "a text in place of the kernel", change: replaceKernel("not a kernel"),
		side: matrix.SideHost, fails: `^QEMU: `,
	},
	{
		name: "empty-kernel", means: "an empty kernel image", change: replaceKernel(""),
		side: matrix.SideHost, fails: `^QEMU: `,
	},
	{
		name: "cut-initramfs", means: "the initramfs is cut to a half on its way to QEMU", change: cutInitramfs,
		side: matrix.SideBoot, fails: `^panic: Kernel panic - not syncing: `,
	},
	{
		name: "other-kernel", means: "another kernel than the image says", change: func(_ *testing.T, b *boot) { b.image.Release = "9.9.9" },
		side: matrix.SideBoot, fails: `^the wrong kernel booted: uname -r says "5\.10\.\d+.*", the image says "9\.9\.9"`,
	},
	{
		name: "bad-cpu", means: "machine.cpu that QEMU does not know", change: func(_ *testing.T, b *boot) { b.machine.CPU = "bogus" },
		side: matrix.SideHost, fails: `^QEMU: .*CPU model`,
	},
	{
		name: "many-cpus", means: "4096 virtual CPUs", change: func(_ *testing.T, b *boot) { b.machine.VCPUs = 4096 },
		side: matrix.SideHost, fails: `^QEMU: .*SMP`,
	},
	{
		name: "no-qemu", means: "QEMU is not installed", change: func(t *testing.T, _ *boot) { t.Setenv("PATH", t.TempDir()) },
		side: matrix.SideHost, fails: `is not installed$`,
	},
	{
		name: "full-disk", means: "no room for the initramfs", change: func(t *testing.T, b *boot) { b.dir = smallDisk(t) },
		side: matrix.SideHost, fails: `^write initramfs: .*no space left on device`,
	},
	{name: "full-log", means: "no room for the console log", change: func(t *testing.T, b *boot) { b.log = filepath.Join(fullDisk(t), "console.log") }},
}

func TestVMFaultsOfTheBoot(t *testing.T) {
	needVM(t)
	img := image(t, faultKernel(t))
	reps := 1
	if os.Getenv("KQUAL_FULL") == "1" {
		reps = 3
	}
	shorten(t, usual)
	args, a := kernelArgs, archOf(matrix.Machine{})
	own := a.kernelArgs
	table := newTally()
	for range reps {
		for _, f := range bootFaults {
			t.Run(f.name, func(t *testing.T) {
				defer func() { kernelArgs, a.kernelArgs = args, own }()
				kernelArgs = slices.Concat(args, f.args)
				a.kernelArgs = slices.DeleteFunc(slices.Clone(own), func(arg string) bool { return arg == f.without })
				if f.program == "" {
					f.program = "guest"
				}
				copied := *img
				before := leftovers(t, Config{LogDir: t.TempDir()})
				res := bootOnce(t, &copied, program(t, f.program), func(b *boot) {
					b.machine.VCPUs = 2
					if f.change != nil {
						f.change(t, b)
					}
				})
				if left := leftovers(t, Config{LogDir: t.TempDir()}).beyond(before); len(left) > 0 {
					t.Errorf("the boot left %q", left)
					table.left += len(left)
				}
				kr := matrix.KernelRun{Boots: []matrix.Boot{res.boot}, Error: res.failure}
				switch {
				case f.fails == "":
					if res.failure != nil || res.boot.End != "done" {
						t.Errorf("failed: %v, end %q", res.failure, res.boot.End)
					}
				case res.failure == nil:
					t.Error("no failure")
				case res.failure.Side != f.side || !regexp.MustCompile(f.fails).MatchString(res.failure.Reason):
					t.Errorf("told as %s: %s; want %s: %s", res.failure.Side, res.failure.Reason, f.side, f.fails)
				}
				if t.Failed() {
					explainRun(t, kr, nil)
				}
				i := injection{fault: &fault{name: f.name, means: f.means, fails: f.fails, unannounced: true}, phase: atBoot}
				table.add(i, kr, nil, 0, !t.Failed())
			})
		}
	}
	table.print(t)
}

// otherArchitecture makes an init of another architecture's.
func otherArchitecture(t *testing.T, b *boot) {
	data := readWhole(t, b.guest)
	data[18], data[19] = 183, 0 // e_machine: EM_AARCH64
	b.guest = writeProgram(t, data)
}

// cutGuest keeps the headers of the guest, and zeros for all the rest.
func cutGuest(t *testing.T, b *boot) {
	data := readWhole(t, b.guest)
	clear(data[4096 : len(data)/2])
	b.guest = writeProgram(t, data)
}

func writeProgram(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "init")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func readWhole(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func replaceKernel(text string) func(*testing.T, *boot) {
	return func(t *testing.T, b *boot) { b.image.Vmlinux = writeProgram(t, []byte(text)) }
}

// cutKernel keeps one part of so many of the image.
func cutKernel(parts int) func(*testing.T, *boot) {
	return func(t *testing.T, b *boot) {
		data := readWhole(t, b.image.Vmlinux)
		b.image.Vmlinux = writeProgram(t, data[:len(data)/parts])
	}
}

// cutInitramfs puts a program before QEMU that hands it half of the initramfs.
func cutInitramfs(t *testing.T, _ *boot) {
	script := `#!/bin/sh
half=$(mktemp)
for a do
	shift
	case $last in
	-initrd) size=$(wc -c < "$a"); head -c $((size / 2)) "$a" > "$half"; a=$half ;;
	esac
	last=$a
	set -- "$@" "$a"
done
exec 9< "$half"
rm "$half"
n=$#
while test "$n" -gt 0; do
	a=$1; shift
	test "$a" = "$half" && a=/proc/self/fd/9
	set -- "$@" "$a"
	n=$((n - 1))
done
PATH=${PATH#*:} exec ` + archOf(matrix.Machine{}).program + ` "$@"
`
	inQEMUsPlace(t, []byte(script))
}

// smallDisk is a directory with room for a megabyte.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fullDisk is one with no room at all.
func fullDisk(t *testing.T) string {
	t.Helper()
	dir := smallDisk(t)
	f, err := os.Create(filepath.Join(dir, "all"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := io.Copy(f, io.LimitReader(zeros{}, 2<<20)); err == nil {
		t.Fatalf("%d bytes fit on the disk", n)
	}
	return dir
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
