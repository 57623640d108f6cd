package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseAge reads what was given to a flag: a duration that may be in days, 30d.
func parseAge(flag, s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 1e5 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	return 0, usage(fmt.Errorf("%s: %q is no age; write one such as 30d or 12h", flag, s))
}
