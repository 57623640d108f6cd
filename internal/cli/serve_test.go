package cli

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestServeShowsTheNightsUntilInterrupted(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	n.err = lockedBuffer{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan int)
	go func() {
		done <- n.app.main(ctx, []string{"serve", "--state", n.path("state"), "--listen", "127.0.0.1:0"})
	}()
	var address string
	for deadline := time.Now().Add(10 * time.Second); address == "" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(n.err.String())
	}
	if address == "" {
		t.Fatalf("it does not say where it listens:\n%s", n.err.String())
	}
	get := func(path string) string {
		t.Helper()
		res, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v\n%s", path, res.Status, err, body)
		}
		return string(body)
	}
	if page := get(""); !strings.Contains(page, first.Run) {
		t.Errorf("the index lacks the night:\n%s", page)
	}
	if page := get("trend?cell=a/tmpfs/unlink/IN_DELETE"); !strings.Contains(page, "clean") {
		t.Errorf("the trend:\n%s", page)
	}
	// A night that is made meanwhile is there.
	n.out = lockedBuffer{}
	second := n.night(exitOK)
	if page := get(""); !strings.Contains(page, second.Run) {
		t.Errorf("the index lacks the second night:\n%s", page)
	}
	if !strings.Contains(get("metrics"), "kqual_nights 2\n") {
		t.Error("the metrics do not count it")
	}
	cancel()
	select {
	case code := <-done:
		if code != exitOK {
			t.Errorf("exit %d: %s", code, n.err.String())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestServeRefusesAStateThatIsNotThere(t *testing.T) {
	n := newNights(t)
	if code := n.app.main(context.Background(), []string{"serve", "--state", n.path("nowhere")}); code != exitUsage || !strings.Contains(n.err.String(), "there is no directory ") {
		t.Errorf("exit %d: %s", code, n.err.String())
	}
}
