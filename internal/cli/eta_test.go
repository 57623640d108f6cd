package cli

import (
	"testing"
	"time"
)

func TestTimeLeft(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name         string
		likely       time.Duration
		before, done int64 // cells that were known at the beginning, and that are by now
		passed       time.Duration
		want         string
	}{
		{"as planned, at the beginning", 80 * time.Second, 0, 0, 0, "about 80 s left"},
		{"as planned, half way", 80 * time.Second, 0, 40, 40 * time.Second, "about 40 s left"},
		{"three times as slow, half way", 80 * time.Second, 0, 40, 2 * time.Minute, "about 93 s left"},
		{"three times as slow, at the last cell", 80 * time.Second, 0, 79, 237 * time.Second, "about 2.6 s left"},
		{"resumed", 80 * time.Second, 60, 70, 10 * time.Second, "about 10 s left"},
		{"all done", 80 * time.Second, 0, 80, 80 * time.Second, "about 0.0 s left"},
	} {
		e := &eta{likely: tt.likely}
		e.first.Store(&start{now, tt.before})
		if got := e.text(tt.done, 80, now.Add(tt.passed)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	e := &eta{likely: 80 * time.Second}
	if got, want := e.text(20, 80, now), "about 60 s in virtual machines"; got != want {
		t.Errorf("before the first cell: %s, want %s", got, want)
	}
	e.begun(20)
	e.begun(40) // only the first counts
	if got, want := e.text(20, 80, time.Now()), "about 60 s left"; got != want {
		t.Errorf("when the first cell begins: %s, want %s", got, want)
	}
}
