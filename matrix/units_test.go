package matrix

import (
	"testing"
	"time"
)

func TestAgeText(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0 s", 40 * time.Second: "40 s", 5 * time.Minute: "5 min", 3 * time.Hour: "3 h",
		60 * time.Hour: "2.5 days", 12 * day: "12 days",
	} {
		if got := AgeText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
