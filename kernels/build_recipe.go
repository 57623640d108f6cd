package kernels

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"kqual/matrix"
)

//go:embed patches/*.patch
var patchFS embed.FS

//go:embed configs/*.config
var configFS embed.FS

// recipeFiles is a kind of file that a build takes by name (built in) or by
// path (the user's own).
type recipeFiles struct {
	fsys fs.FS
	dir  string
	ext  string
	what string
}

var (
	patchFiles  = recipeFiles{patchFS, "patches", ".patch", "patch"}
	configFiles = recipeFiles{configFS, "configs", ".config", "config fragment"}
)

// recipe is one such file.
type recipe struct {
	name string
	body string
}

func bodies(list []recipe) []string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = r.body
	}
	return out
}

// isPath says whether name is a file of the user's: it has a slash or the
// kind's extension.
func (k recipeFiles) isPath(name string) bool {
	return strings.Contains(name, "/") || strings.HasSuffix(name, k.ext)
}

// names lists what is built in.
func (k recipeFiles) names() []string {
	var names []string
	files, _ := fs.Glob(k.fsys, path.Join(k.dir, "*"+k.ext))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), k.ext))
	}
	return names
}

// Patches are the built-in patches with the first line of what each says of
// itself, by name.
func Patches() map[string]string { return patchFiles.docs() }

// Configs are the built-in config fragments, likewise.
func Configs() map[string]string { return configFiles.docs() }

func (k recipeFiles) docs() map[string]string {
	docs := map[string]string{}
	for _, name := range k.names() {
		body, err := fs.ReadFile(k.fsys, path.Join(k.dir, name+k.ext))
		if err != nil {
			continue // cannot be: the name is from the same place
		}
		for line := range strings.Lines(string(body)) {
			line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
			if line != "" && !strings.HasPrefix(line, "SPDX-") {
				docs[name] = line
				break
			}
		}
	}
	return docs
}

// checkRecipe says what is wrong with a name in the matrix. Files of the
// user's are looked at only when they are needed.
func checkRecipe(k recipeFiles, name string) error {
	if name == "" || !k.isPath(name) && !slices.Contains(k.names(), name) {
		return fmt.Errorf("no %s named %q is built in; %s (a file of yours needs a / or %s in its name)",
			k.what, name, matrix.DidYouMean(name, k.names()), k.ext)
	}
	return nil
}

func loadRecipes(k recipeFiles, names []string) ([]recipe, error) {
	var out []recipe
	for _, name := range names {
		var data []byte
		var err error
		if k.isPath(name) {
			data, err = os.ReadFile(name)
		} else {
			data, err = fs.ReadFile(k.fsys, path.Join(k.dir, name+k.ext))
		}
		if err != nil {
			return nil, &matrix.Failure{Side: matrix.SideKernel, Reason: fmt.Sprintf("read %s %s: %v", k.what, name, err), Hint: "correct the name in the matrix"}
		}
		out = append(out, recipe{name, string(data)})
	}
	return out, nil
}
