package kernels

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
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
		var err error
		if vmlinuz, err = imageAnywhere(tmp, what); err != nil {
			return err
		}
	}
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
	} else if config := beside(vmlinuz); config != "" {
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
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{"vmlinuz", "config", "modules"}, e.Name()) {
			if err := os.RemoveAll(filepath.Join(tmp, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// imageAnywhere finds the only kernel image below tmp; "" where there is none.
func imageAnywhere(tmp, what string) (string, error) {
	var found []string
	err := filepath.WalkDir(tmp, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && imageName.MatchString(d.Name()) {
			found = append(found, path)
		}
		return err
	})
	switch {
	case err != nil || len(found) == 0:
		return "", err
	case len(found) > 1:
		for i := range found {
			found[i], _ = filepath.Rel(tmp, found[i])
		}
		return "", badPackage(fmt.Sprintf("more than one kernel in %s: %s and %s", what, found[0], found[1]))
	}
	return found[0], nil
}

// beside is the config in the directory of an image; "" where there is none.
func beside(vmlinuz string) string {
	m, _ := filepath.Glob(filepath.Join(filepath.Dir(vmlinuz), "config-*"))
	if len(m) != 1 {
		return ""
	}
	return m[0]
}

// wantedInTree is wantedFile for trees that are no package: the image may be
// anywhere, under any of its usual names.
func wantedInTree(name string) bool {
	return wantedFile(name) || slices.Contains(plainNames, name) || imageName.MatchString(path.Base(name)) || configName.MatchString(path.Base(name))
}

var (
	plainNames = []string{"boot/config", "config"}
	imageName  = regexp.MustCompile(`^(vmlinuz|bzImage|Image)(-[^/]+)?$`)
	configName = regexp.MustCompile(`^config-[0-9][^/]*$`)
)

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
