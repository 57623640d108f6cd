package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pault.ag/go/debian/control"

	"kqual/matrix"
)

// release is a verified InRelease file.
type release struct {
	base   string   // URL below which dists/ and pool/ are
	bases  []string // where else a file of the pool may be, in order; base is one of them
	files  map[string]indexFile
	byHash bool      // index files can be had under their hash, too
	date   time.Time // when it was made; zero where that cannot be read
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
		var r *release
		err := env.Cache.revalidate(ctx, env, url, func(data, kept []byte, now time.Time) error {
			text, err := verifyClearsigned(data, c.keyring(), c.AllowExpired)
			if err != nil {
				return about("verify "+shownURL(url), err)
			}
			if r, err = parseRelease(text, c, shownURL(url), now); err != nil || kept == nil || c.AllowExpired {
				return err
			}
			return checkReplay(r, kept, c, shownURL(url))
		})
		if isMissing(err) || isOffline(err) || err != nil && missing != nil && !refused(err) {
			missing = errors.Join(missing, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		r.base, r.bases = base, bases
		return r, nil
	}
	if isOffline(missing) {
		return nil, notInCache("an index of suite " + c.Suite)
	}
	return nil, &matrix.Failure{
		Side: matrix.SideKernel, Reason: fmt.Sprintf("no suite %s: %s", c.Suite, oneLine(missing)),
		Hint: "correct the suite, or name a mirror that has it (debian: {mirror: …})",
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

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
	// Before bullseye the security archive's dists/buster/updates called itself
	// buster.
	plain := strings.TrimSuffix(c.Suite, "/updates")
	if s, n := p.Values["Suite"], p.Values["Codename"]; plain != s && plain != n {
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
				Hint: "the mirror lags behind, or is an archive of the past; set allow_expired: true (debian: {allow_expired: true}) to accept that",
			}
		}
	}
	r := &release{files: map[string]indexFile{}, byHash: p.Values["Acquire-By-Hash"] == "yes"}
	if date, err := parseDate(p.Values["Date"]); err == nil {
		r.date = date
	}
	for _, line := range strings.Split(p.Values["SHA256"], "\n") {
		f := strings.Fields(line)
		if len(f) != 3 || !hexSHA256.MatchString(f[0]) {
			continue
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("parse %s: SHA256: size %q", url, f[1])
		}
		r.files[f[2]] = indexFile{sha256: f[0], size: size}
	}
	if len(r.files) == 0 {
		return nil, refusedFile(url, "it lists no SHA256 hashes")
	}
	return r, nil
}

// checkReplay refuses a release that is older than the one that was verified
// before at the same place: its signature is as good as ever, and what it lists
// may have known faults. A copy that is not trusted any more says nothing.
func checkReplay(r *release, kept []byte, c DebianConfig, url string) error {
	text, err := verifyClearsigned(kept, c.keyring(), true)
	if err != nil {
		return nil
	}
	c.AllowExpired = true
	before, err := parseRelease(text, c, url, time.Now())
	if err != nil || !r.date.Before(before.date) {
		return nil
	}
	return &matrix.Failure{
		Side:   matrix.SideKernel,
		Reason: fmt.Sprintf("%s is of %s, and older than what it was before, of %s", url, r.date.Format(time.DateTime), before.date.Format(time.DateTime)),
		Hint:   "the mirror went back in time, or somebody replays an old state: try again later, name another mirror, or accept it (debian: {allow_expired: true})",
	}
}

// parseDate reads the two forms of RFC 1123 that archives use.
func parseDate(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC1123, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC1123Z, s)
}
