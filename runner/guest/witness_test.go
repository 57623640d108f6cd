package guest

import (
	"testing"

	"kqual/matrix"
)

// The sequences are what real kernels sent (see the commits in witness.go).
func TestTheOrderWitnessReadsDeleteAgainstDeleteSelf(t *testing.T) {
	tests := map[string]struct {
		events []string
		want   matrix.Order
	}{
		"5.4 to 5.16":               {[]string{"DELETE", "ATTRIB", "DELETE_SELF", "IGNORED"}, matrix.Early},
		"before 5.3 and since 5.17": {[]string{"ATTRIB", "DELETE_SELF", "IGNORED", "DELETE"}, matrix.Late},
		"hook after link count":     {[]string{"ATTRIB", "DELETE", "DELETE_SELF", "IGNORED"}, matrix.Early},
		"another link remains":      {[]string{"ATTRIB", "DELETE"}, matrix.NoOrder},
		"nothing":                   {nil, matrix.NoOrder},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := orderOf(tt.events); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
