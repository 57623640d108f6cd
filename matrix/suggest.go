package matrix

import (
	"fmt"
	"slices"
	"strings"
)

// maxListed is how many known words a message lists before it gives up and
// names only the count.
const maxListed = 12

// DidYouMean ends a message about an unknown word: `did you mean "x"?` where a
// known word is near, otherwise the known words. It is "" where none is known.
func DidYouMean(word string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	if best := nearest(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	sorted := slices.Clone(known)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	if len(sorted) > maxListed {
		return fmt.Sprintf("known are %s and %d more", strings.Join(sorted[:maxListed], ", "), len(sorted)-maxListed)
	}
	if len(sorted) == 1 {
		return "known is only " + sorted[0]
	}
	return "known are " + strings.Join(sorted, ", ")
}

// unknown is the message about a word that nobody registered.
func unknown(kind, word string, known []string) string {
	hint := DidYouMean(word, known)
	if hint == "" {
		hint = "remove it"
	}
	return fmt.Sprintf("unknown %s %q; %s", kind, shorten(word), hint)
}

// nearest is the known word with the smallest edit distance to word, or ""
// where all are too far off to be a slip. Ties go to the first in order.
func nearest(word string, known []string) string {
	sorted := slices.Clone(known)
	slices.Sort(sorted)
	// A word much longer than every name is not a slip of one; it also keeps
	// hostile input from costing a large table.
	const longest = 128
	if word == "" || len(word) > longest {
		return ""
	}
	lower := strings.ToLower(word)
	best, bestDist := "", len(word)+1
	for _, k := range sorted {
		if len(k) > longest {
			continue
		}
		d := editDistance(lower, strings.ToLower(k))
		// One slip in three letters is allowed, and always one where the word
		// has at least two.
		limit := max(1, max(len(word), len(k))/3)
		if len(word) < 2 {
			limit = 0
		}
		if d <= limit && d < bestDist {
			best, bestDist = k, d
		}
	}
	if best != "" {
		return best
	}
	// A beginning or a part that only one known word has: nlin, EXCL_UNLINK.
	for _, k := range sorted {
		if len(word) >= 3 && strings.Contains(strings.ToLower(k), lower) {
			if best != "" {
				return ""
			}
			best = k
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	before, prev, cur := make([]int, len(rb)+1), make([]int, len(rb)+1), make([]int, len(rb)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(ra); i++ {
		cur[0] = i
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(rb)]
}
