package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner"
)

// firmware is what amd64 machines start with.
const firmware = "qboot.rom"

// firstLineOf runs a program and returns the first line of what it says, "" on
// failure.
func firstLineOf(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}

// program checks that a program is installed. without says what its absence
// means.
func (d *doctor) program(name, pkg string, needed bool, without string) finding {
	f := finding{Name: name, Needed: needed}
	path, err := exec.LookPath(name)
	if err != nil {
		f.Detail = "not installed"
		if without != "" {
			f.Detail += ": " + without
		}
		f.Hint = "apt-get install " + pkg
		return f
	}
	f.OK, f.Detail = true, path
	return f
}

// firmware looks for qboot.rom where QEMU itself does.
func (d *doctor) firmware(ctx context.Context) finding {
	f := finding{Name: firmware, Needed: d.hasArch("amd64"), Hint: "apt-get install qemu-system-data"}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, runner.QEMU(matrix.Machine{}).Program, "-L", "help").Output()
	if err != nil {
		f.Detail = "QEMU does not say where its firmware is"
		return f
	}
	dirs := strings.Fields(string(out))
	for _, dir := range dirs {
		path := filepath.Join(dir, firmware)
		if _, err := os.Stat(path); err == nil {
			f.OK, f.Detail = true, path
			return f
		}
	}
	f.Detail = "in none of " + strings.Join(dirs, ", ")
	return f
}

// mirror asks apt where the host gets Debian packages from.
func (d *doctor) mirror(ctx context.Context) finding {
	f := finding{
		Name: "apt mirror", Needed: d.wants("debian", "build"),
		Hint: "add a Debian archive to /etc/apt/sources.list.d, or set KQUAL_DEBIAN_MIRROR to its base URL",
	}
	if url := os.Getenv("KQUAL_DEBIAN_MIRROR"); url != "" {
		f.OK, f.Detail = true, url+" (KQUAL_DEBIAN_MIRROR)"
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// apt-get(8) indextargets: one line per index that apt knows of.
	out, _ := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	var urls []string
	for line := range strings.Lines(string(out)) {
		url := strings.TrimSpace(line)
		if strings.HasPrefix(url, "http") && !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	if len(urls) == 0 {
		f.Detail = "apt's configuration names no archive"
		return f
	}
	f.OK, f.Detail = true, strings.Join(urls, ", ")
	return f
}

// archiveKeyring is where the package debian-archive-keyring puts its keys.
const archiveKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

func (d *doctor) keyring() finding {
	f := finding{Name: "archive keyring", Needed: d.wants("debian", "build"), Detail: archiveKeyring}
	if _, err := os.Stat(archiveKeyring); err != nil {
		f.Detail = "not installed: downloads cannot be verified"
		f.Hint = "apt-get install debian-archive-keyring"
		return f
	}
	f.OK = true
	return f
}

func (d *doctor) buildTools() []finding {
	needed := d.wants("build")
	programs, packages := kernels.MissingBuildTools()
	f := finding{Name: "build tools", OK: len(programs) == 0, Needed: needed, Detail: "gcc, make, flex, bison, bc, patch, xz and the rest are there"}
	if !f.OK {
		f.Detail = "missing " + strings.Join(programs, ", ")
		f.Hint = "apt-get install " + strings.Join(packages, " ")
	}
	checks := append([]finding{f}, d.crossCompilers()...)
	// Headers that the kernel's own build programs include.
	for _, h := range []struct{ path, pkg string }{
		{"gelf.h", "libelf-dev"}, {"openssl/opensslv.h", "libssl-dev"},
	} {
		c := finding{Name: h.pkg, Needed: needed, Detail: "not installed", Hint: "apt-get install " + h.pkg}
		for _, dir := range []string{"/usr/include", "/usr/local/include"} {
			if _, err := os.Stat(filepath.Join(dir, h.path)); err == nil {
				c.OK, c.Detail = true, filepath.Join(dir, h.path)
				break
			}
		}
		checks = append(checks, c)
	}
	return checks
}

// filesystemTools checks the programs that the matrix's filesystems need.
func (d *doctor) filesystemTools() []finding {
	var tools []matrix.Tool
	filesystems := catalog().Filesystems
	if d.spec != nil {
		for _, fs := range d.spec.Filesystems {
			tools = append(tools, filesystems[fs].Tools...)
		}
	} else {
		for _, fs := range filesystems {
			tools = append(tools, fs.Tools...)
		}
	}
	slices.SortFunc(tools, func(a, b matrix.Tool) int { return strings.Compare(a.Program, b.Program) })
	var checks []finding
	for _, t := range slices.Compact(tools) {
		checks = append(checks, d.program(t.Program, t.Package, true, ""))
	}
	return checks
}

// Room that the cache should have, in bytes: a Debian kernel takes about
// 0.2 GB unpacked, a build tree with its source about 2 GB.
const (
	roomFetch = 1 << 30
	roomBuild = 4 << 30
)

func (d *doctor) cache() []finding {
	room := finding{Name: "disk space", Needed: true}
	size := finding{Name: "cache", Needed: true}
	dir, err := kernels.DefaultCacheDir()
	if err != nil {
		room.Detail, size.Detail = err.Error(), err.Error()
		return []finding{room, size}
	}
	want := uint64(roomFetch)
	if d.wants("build") {
		want = roomBuild
	}
	at := existingParent(dir)
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		room.Detail = fmt.Sprintf("%s: %v", at, err)
	} else {
		free := st.Bavail * uint64(st.Bsize)
		room.OK = free >= want
		room.Detail = fmt.Sprintf("%s free for %s", gigabytes(free), dir)
		room.Hint = fmt.Sprintf("make room for %s, or set KQUAL_CACHE to a directory elsewhere", gigabytes(want))
	}
	if _, err := os.Stat(dir); err != nil {
		size.OK, size.Detail = true, "empty: the first run fills it"
		return []finding{room, size}
	}
	c, err := kernels.OpenCache(dir)
	if err != nil {
		size.Detail, size.Hint = err.Error(), "set KQUAL_CACHE to a directory that can be written"
		return []finding{room, size}
	}
	n, err := c.Size()
	if err != nil {
		size.Detail = err.Error()
	} else {
		size.OK, size.Detail = true, gigabytes(uint64(n))+" in "+dir
	}
	return []finding{room, size}
}

func gigabytes(n uint64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }
