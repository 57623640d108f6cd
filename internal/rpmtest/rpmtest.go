// Package rpmtest makes real .rpm files for tests.
package rpmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Kernel makes kernel-core and kernel-modules of the kernel of that release
// below tree, and returns their paths. compression is rpm's %_binary_payload:
// w3.zstdio. Without rpmbuild the test is skipped.
func Kernel(t testing.TB, tree, release, compression string) []string {
	t.Helper()
	modules := "/lib/modules/" + release
	core := []string{modules + "/vmlinuz"}
	if _, err := os.Stat(filepath.Join(tree, core[0])); err != nil {
		core = []string{"/boot/vmlinuz-" + release, "/boot/config-" + release}
	}
	return []string{
		build(t, "kernel-core", tree, compression, core),
		build(t, "kernel-modules", tree, compression, []string{modules + "/kernel"}),
	}
}

func build(t testing.TB, name, tree, compression string, files []string) string {
	t.Helper()
	program, err := exec.LookPath("rpmbuild")
	if err != nil {
		t.Skip("no rpmbuild here (apt-get install rpm)")
	}
	dir := t.TempDir()
	spec := filepath.Join(dir, name+".spec")
	text := fmt.Sprintf(`Name: %s
Version: 1
Release: 1
Summary: a kernel
License: GPL-2.0
AutoReqProv: no
%%define __os_install_post %%{nil}
%%define debug_package %%{nil}
%%define _build_id_links none
%%description
A kernel.
%%install
mkdir -p %%{buildroot}
cp -a %s/. %%{buildroot}
%%files
%s
`, name, tree, strings.Join(files, "\n"))
	if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-bb", "--quiet", "--target", "x86_64", "--define", "_topdir "+dir,
		"--define", "_unpackaged_files_terminate_build 0", "--define", "_binary_payload "+compression, spec).CombinedOutput()
	if err != nil {
		t.Fatalf("rpmbuild: %v\n%s", err, out)
	}
	found, _ := filepath.Glob(filepath.Join(dir, "RPMS/x86_64/*.rpm"))
	if len(found) != 1 {
		t.Fatalf("rpmbuild made %v", found)
	}
	return found[0]
}
