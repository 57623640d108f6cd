package kernels

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const stanza = `Package: linux-image-amd64
Source: linux-signed-amd64 (6.1.140+1)
Version: 6.1.140-1
Depends: linux-image-6.1.0-37-amd64 (= 6.1.140-1) | linux-image-6.1.0-37-amd64-unsigned:any (= 6.1.140-1),
 kmod
Filename: pool/main/l/linux/x.deb
Size: 1500
SHA256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
Description: Linux
 for PCs
`

func TestParsePackagesKeepsWhatBelongsToKernels(t *testing.T) {
	text := "Package: zlib1g\nSize: what\n\n" + stanza + "\n\nPackage: linuxdoc-tools\nSize: 1\n"
	got, err := parsePackages(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []PackageInfo{{
		Name: "linux-image-amd64", Version: "6.1.140-1", Filename: "pool/main/l/linux/x.deb", Size: 1500,
		SHA256:  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		Depends: [][]string{{"linux-image-6.1.0-37-amd64", "linux-image-6.1.0-37-amd64-unsigned"}, {"kmod"}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParsePackagesRefusesBadStanzas(t *testing.T) {
	for _, bad := range [][2]string{
		{"Size: 1500", "Size: 0"},
		{"Size: 1500", "Size: many"},
		{"SHA256: 0", "SHA256: x"},
		{"SHA256: ", "MD5sum: "},
		{"Version: 6", "Version: "},
		{"Version: 6.1.140-1\n", ""},
		{"Filename: pool/", "Filename: ../"},
		{"Filename: ", "File: "},
	} {
		text := strings.Replace(stanza, bad[0], bad[1], 1)
		if got, err := parsePackages(strings.NewReader(text)); err == nil {
			t.Errorf("%q for %q: %+v", bad[1], bad[0], got)
		}
	}
}

func TestParsePackagesReadsALargeIndex(t *testing.T) {
	var text bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&text, "Package: filler%d\nDescription: %s\n\n", i, strings.Repeat("x", 100))
	}
	text.WriteString(stanza)
	got, err := parsePackages(&text)
	if err != nil || len(got) != 1 {
		t.Errorf("%d packages, %v", len(got), err)
	}
}

func TestResolveEndsOnCircles(t *testing.T) {
	p := func(name string, deps ...string) PackageInfo {
		info := PackageInfo{Name: name, Version: "1"}
		for _, d := range deps {
			info.Depends = append(info.Depends, []string{d})
		}
		return info
	}
	// Nobody has linux-base-a: a kernel boots without it.
	all := []PackageInfo{p("linux-image-a", "linux-modules-a", "linux-base", "linux-base-a"), p("linux-modules-a", "linux-image-a")}
	parts, err := resolveKernel(all, "linux-image-a", "", "s")
	if err != nil || len(parts) != 2 {
		t.Errorf("%v, %v", parts, err)
	}
	all[1].Depends = [][]string{{"linux-binary-a"}}
	if _, err := resolveKernel(all, "linux-image-a", "", "s"); err == nil || !strings.Contains(err.Error(), "linux-modules-a") {
		t.Errorf("error %v", err)
	}
}

func FuzzPackages(f *testing.F) {
	f.Add([]byte(stanza))
	f.Add([]byte("Package: zlib1g\n\n" + stanza + "\n\n\n"))
	f.Add([]byte("Package: linux-\nVersion\n"))
	f.Add([]byte("Package: linux-x\n y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, err := parsePackages(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, p := range packages {
			if p.Name == "" || p.Size <= 0 || !hexSHA256.MatchString(p.SHA256) {
				t.Errorf("accepted %+v", p)
			}
			if _, err := findPackage(packages, p.Name, p.Version, "s"); err != nil {
				t.Error(err)
			}
		}
	})
}
