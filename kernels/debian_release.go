package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"pault.ag/go/debian/control"

	"kqual/internal/atomicfile"
	"kqual/matrix"
)

// debianKeyring is where Debian's package debian-archive-keyring puts it.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// maxRelease bounds an InRelease file, in bytes; they have about 150 kB.
const maxRelease = 8 << 20

// release is a verified InRelease file.
type release struct {
	base  string // URL below which dists/ and pool/ are
	files map[string]indexFile
}

// indexFile is a line of the SHA256 list.
type indexFile struct {
	sha256 string
	size   int64
}

// fetchRelease gets, verifies and parses dists/SUITE/InRelease from the first
// base that has it.
func fetchRelease(ctx context.Context, env Env, c DebianConfig, bases []string) (*release, error) {
	var missing error
	for _, base := range bases {
		url := base + "/dists/" + c.Suite + "/InRelease"
		data, err := env.Cache.revalidate(ctx, url)
		if isMissing(err) {
			missing = errors.Join(missing, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		text, err := verifyClearsigned(data, c.keyring())
		if err != nil {
			return nil, fmt.Errorf("verify %s: %w", url, err)
		}
		r, err := parseRelease(text, c, url, time.Now())
		if err != nil {
			return nil, err
		}
		r.base = base
		return r, nil
	}
	return nil, &matrix.Failure{
		Side: matrix.SideKernel, Reason: fmt.Sprintf("no suite %s: %s", c.Suite, oneLine(missing)),
		Hint: "correct the suite, or name a mirror that has it (debian: {mirror: …})",
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// revalidate returns the file at url, from the cache where the server says
// that it has not changed. Without a network the cached copy has to do: it is
// verified like a fresh one.
func (c *Cache) revalidate(ctx context.Context, url string) ([]byte, error) {
	dir := filepath.Join(c.dir, "release")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, strings.Map(func(r rune) rune {
		if r == '/' || r == ':' {
			return '_'
		}
		return r
	}, url))
	cached, cacheErr := os.ReadFile(path)
	header := http.Header{}
	if info, err := os.Stat(path); err == nil {
		header.Set("If-Modified-Since", info.ModTime().UTC().Format(http.TimeFormat))
	}
	var fresh []byte
	err := retry(ctx, func() error {
		resp, err := request(ctx, url, header)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusNotModified:
			fresh = cached
			return nil
		case http.StatusOK:
			if fresh, err = io.ReadAll(io.LimitReader(resp.Body, maxRelease+1)); err != nil {
				return fmt.Errorf("get %s: %w", url, err)
			}
			if len(fresh) > maxRelease {
				return refusedFile(url, fmt.Sprintf("it has more than %d bytes", maxRelease))
			}
			if err := atomicfile.Write(path, fresh); err != nil {
				return err
			}
			if t, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
				return os.Chtimes(path, t, t)
			}
			return os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)) // never "not modified"
		}
		return &httpStatus{url, resp.StatusCode}
	})
	var s *httpStatus
	if err != nil && cacheErr == nil && ctx.Err() == nil && !errors.As(err, &s) {
		return cached, nil
	}
	return fresh, err
}

// verifyClearsigned returns the signed text of an InRelease file, if one of
// its signatures was made by a key of the keyring (binary or armored).
func verifyClearsigned(data []byte, keyring string) ([]byte, error) {
	raw, err := os.ReadFile(keyring)
	if err != nil {
		return nil, &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("no keyring to verify the archive with: %v", err),
			Hint: "apt-get install debian-archive-keyring, or name one in the matrix (debian: {keyring: …})",
		}
	}
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read keyring %s: %w", keyring, err)
	}
	block, _ := clearsign.Decode(data)
	if block == nil {
		return nil, errors.New("it is not signed")
	}
	if _, err := block.VerifySignature(keys, nil); err != nil {
		return nil, fmt.Errorf("no good signature by a key of %s: %w", keyring, err)
	}
	return block.Plaintext, nil
}

// parseRelease reads a verified Release text and refuses one that is not of
// the suite asked for, or too old.
func parseRelease(text []byte, c DebianConfig, url string, now time.Time) (*release, error) {
	pr, err := control.NewParagraphReader(bytes.NewReader(text), nil)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", url, err)
	}
	p, err := pr.Next()
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", url, err)
	}
	if s, n := p.Values["Suite"], p.Values["Codename"]; c.Suite != s && c.Suite != n {
		return nil, refusedFile(url, fmt.Sprintf("it is of suite %q (%q), not %q", s, n, c.Suite))
	}
	if until := p.Values["Valid-Until"]; until != "" && !c.AllowExpired {
		t, err := parseDate(until)
		if err != nil {
			return nil, fmt.Errorf("parse %s: Valid-Until: %w", url, err)
		}
		if now.After(t) {
			days := int(now.Sub(t).Hours() / 24)
			return nil, &matrix.Failure{
				Side: matrix.SideKernel, Reason: fmt.Sprintf("%s expired %d days ago (Valid-Until %s)", url, days, t.Format(time.DateOnly)),
				Hint: "the mirror lags behind; set allow_expired: true to accept that",
			}
		}
	}
	r := &release{files: map[string]indexFile{}}
	for _, line := range strings.Split(p.Values["SHA256"], "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("parse %s: SHA256: size %q", url, f[1])
		}
		r.files[f[2]] = indexFile{sha256: f[0], size: size}
	}
	if len(r.files) == 0 {
		return nil, refusedFile(url, "it lists no SHA256 hashes")
	}
	return r, nil
}

// parseDate reads the two forms of RFC 1123 that archives use.
func parseDate(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC1123, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC1123Z, s)
}
