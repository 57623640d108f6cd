package kernels

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// Module is one loadable module of a kernel.
type Module struct {
	Name string // with underscores, as the kernel has it
	Path string // .ko, .ko.gz, .ko.xz or .ko.zst
}

// moduleFile is the name of a module's file, compressed or not.
var moduleFile = regexp.MustCompile(`([^/]+)\.ko(\.gz|\.xz|\.zst)?$`)

// maxModule bounds an unpacked module, in bytes.
const maxModule = 64 << 20

// Read returns the module's ELF file, decompressed.
func (m Module) Read() ([]byte, error) {
	f, err := os.Open(m.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	switch filepath.Ext(m.Path) {
	case ".gz":
		r, err = gzip.NewReader(f)
	case ".xz":
		r, err = xz.NewReader(f, 0)
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
			r = z
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", m.Path, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", m.Path, err)
	}
	if len(data) > maxModule {
		return nil, fmt.Errorf("read module %s: it unpacks to more than %d bytes", m.Path, maxModule)
	}
	return data, nil
}

// Order is what has to be loaded, in that order, and what was asked for and is
// no module: it is built in, or the kernel does not have it.
type Order struct {
	Modules []Module
	Missing []string
}

// LoadOrder lists the modules below dir (lib/modules/RELEASE) that provide
// want, each after the modules it depends on. The dependencies are read from
// the modules themselves (.modinfo): packages carry no modules.dep, which
// depmod(8) would make at installation.
func LoadOrder(dir string, want []string) (Order, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if m := moduleFile.FindStringSubmatch(d.Name()); m != nil && d.Type().IsRegular() {
			files[moduleName(m[1])] = path
		}
		return nil
	})
	if err != nil {
		return Order{}, fmt.Errorf("list modules: %w", err)
	}
	var order Order
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		if seen[name] {
			return nil
		}
		seen[name] = true
		path, ok := files[name]
		if !ok {
			order.Missing = append(order.Missing, name)
			return nil
		}
		m := Module{Name: name, Path: path}
		hard, soft, err := m.depends()
		if err != nil {
			return err
		}
		for _, d := range soft {
			// Soft dependencies may be aliases, or not there at all.
			if _, ok := files[moduleName(d)]; ok {
				hard = append(hard, d)
			}
		}
		for _, d := range hard {
			if err := add(d); err != nil {
				return err
			}
		}
		order.Modules = append(order.Modules, m)
		return nil
	}
	for _, name := range want {
		if err := add(name); err != nil {
			return Order{}, err
		}
	}
	return order, nil
}

// moduleName folds the two spellings of a module's name into one.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// depends reads what the module needs from its .modinfo section: NUL-separated
// KEY=VALUE, with hard dependencies in depends= and soft ones, which may be
// missing, in softdep= between pre: and post:.
func (m Module) depends() (hard, soft []string, err error) {
	data, err := m.Read()
	if err != nil {
		return nil, nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, nil, fmt.Errorf("read module %s: %w", m.Path, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, nil, fmt.Errorf("read module %s: no .modinfo", m.Path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, nil, fmt.Errorf("read module %s: %w", m.Path, err)
	}
	for _, entry := range strings.Split(string(info), "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "depends":
			hard = append(hard, strings.FieldsFunc(value, func(c rune) bool { return c == ',' })...)
		case "softdep":
			pre := false
			for _, word := range strings.Fields(value) {
				switch {
				case strings.HasSuffix(word, ":"):
					pre = word == "pre:"
				case pre:
					soft = append(soft, word)
				}
			}
		}
	}
	return hard, soft, nil
}
