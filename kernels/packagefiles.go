package kernels

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"kqual/matrix"
)

// packageFiles is the deb: or rpm: part of a kernel: the packages that its
// files are spread over.
type packageFiles struct {
	Packages []blob `yaml:"packages" kqual:"required"`
}

func (c packageFiles) cost() string {
	n, cost := 0, "no download"
	for _, b := range c.Packages {
		if b.URL != "" {
			n++
		}
	}
	if n > 0 {
		cost = fmt.Sprintf("download %d packages", n)
	}
	if unverified(c.Packages...) != nil {
		cost += ", " + matrix.DetailUnverified
	}
	return cost
}

// fetch is Fetch for the source of that name, which takes files out of a
// package with extract.
func (c packageFiles) fetch(ctx context.Context, env Env, source string, extract func(path string, filter func(string) bool, dst string) error) (*Image, error) {
	key := []string{unpackFormat}
	var names, places, sums []string
	packages, err := resolveBlobs(ctx, env, c.Packages)
	if err != nil {
		return nil, err
	}
	for _, b := range packages {
		key = append(key, b.SHA256)
		names, places, sums = append(names, b.base()), append(places, b.place()), append(sums, b.SHA256)
	}
	dir, err := env.Cache.Entry(ctx, source, hashStrings(key...), func(tmp string) error {
		for _, b := range packages {
			path, err := b.get(ctx, env)
			if err != nil {
				return err
			}
			if err := extract(path, wantedFile, tmp); err != nil {
				return about("unpack "+b.base(), err)
			}
		}
		return arrange(tmp, strings.Join(names, ", "))
	})
	if err != nil {
		return nil, err
	}
	details := map[string]string{"files": strings.Join(places, " "), "file_sha256": strings.Join(sums, " ")}
	maps.Copy(details, unverified(packages...))
	return arrangedImage(ctx, env, dir, matrix.Provenance{Source: source, Details: details})
}
