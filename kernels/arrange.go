package kernels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kqual/matrix"
)

// arrange brings what was unpacked into one shape: vmlinuz, config, modules/
// and, where the kernel has it, vmlinux. what names the origin, for messages.
func arrange(tmp, what string) error {
	find := func(patterns ...string) string {
		for _, p := range patterns {
			if m, _ := filepath.Glob(filepath.Join(tmp, p)); len(m) > 0 {
				return m[0]
			}
		}
		return ""
	}
	vmlinuz := find("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz", "boot/vmlinuz", "boot/bzImage", "boot/Image", "vmlinuz", "bzImage", "Image")
	if vmlinuz == "" {
		return &matrix.Failure{
			Side: matrix.SideKernel, Reason: "no vmlinuz in " + what,
			Hint: "name one that holds a kernel image: a linux-image-… package, or a tree with boot/vmlinuz",
		}
	}
	for _, p := range []string{"boot/vmlinuz-*", "usr/lib/modules/*", "lib/modules/*"} {
		if m, _ := filepath.Glob(filepath.Join(tmp, p)); len(m) > 1 {
			return badPackage(fmt.Sprintf("more than one kernel in %s: %s and %s", what, filepath.Base(m[0]), filepath.Base(m[1])))
		}
	}
	moves := map[string]string{"vmlinuz": vmlinuz}
	if config := find("boot/config-*", "usr/lib/modules/*/config", "lib/modules/*/config", "boot/config", "config"); config != "" {
		moves["config"] = config
	}
	for to, from := range moves {
		if err := os.Rename(from, filepath.Join(tmp, to)); err != nil {
			return err
		}
	}
	if modules := find("usr/lib/modules/*", "lib/modules/*"); modules != "" {
		if err := os.Rename(modules, filepath.Join(tmp, "modules")); err != nil {
			return err
		}
	}
	for _, d := range []string{"boot", "usr", "lib"} {
		if err := os.RemoveAll(filepath.Join(tmp, d)); err != nil {
			return err
		}
	}
	return nil
}

// wantedInTree is wantedFile for trees that are no package: the image may be
// plainly named, under /boot or at the root.
func wantedInTree(name string) bool {
	return wantedFile(name) || slices.Contains(plainNames, name)
}

var plainNames = []string{"boot/vmlinuz", "boot/bzImage", "boot/Image", "boot/config", "vmlinuz", "bzImage", "Image", "config"}

// arrangedImage is the image in a cache entry that arrange has shaped.
// Provenance gets the hash, the config and, where it has none, the version.
func arrangedImage(ctx context.Context, env Env, dir string, p matrix.Provenance) (*Image, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", dir, err)
	}
	vmlinuz := filepath.Join(dir, "vmlinuz")
	img := &Image{Vmlinuz: vmlinuz, Hashes: map[string]string{vmlinuz: m.Files["vmlinuz"].SHA256}}
	if _, ok := m.Files["config"]; ok {
		img.Config = filepath.Join(dir, "config")
	}
	if modules := filepath.Join(dir, "modules"); isDir(modules) {
		img.Modules = modules
	}
	p.SHA256 = m.Files["vmlinuz"].SHA256
	img.Provenance = p
	if err := img.describeConfig(env.Cache); err != nil {
		return nil, err
	}
	return img, addVmlinux(ctx, env, img)
}
