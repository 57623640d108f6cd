package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// endedBoots counts the boots that ended before the guest was done, and says why
// the last of them did.
func endedBoots(boots []Boot) (n int, why string) {
	for _, b := range boots {
		if !strings.HasPrefix(b.End, "done") && b.End != BootRuns {
			n++
			why = cmp.Or(b.Why, b.End)
		}
	}
	return n, why
}

// confidence says how far the answers carry: the weakest zero, whether the race
// was seen at all, the order witnesses, and what the machines ran on.
func (f *finder) confidence() []Finding {
	type named struct {
		id string
		v  Verdict
	}
	var weakest named
	zeros, affected, plains, controls := 0, 0, 0, 0
	orders := map[Order]int{}
	var accels []string
	for _, k := range f.kernels {
		for _, b := range k.run.Boots {
			if b.Accel != "" && !slices.Contains(accels, b.Accel) {
				accels = append(accels, b.Accel)
			}
		}
		for _, w := range k.run.Witnesses {
			orders[w.Order]++
		}
		for i, c := range k.run.Cells {
			if i >= len(k.verdicts) {
				continue
			}
			if c.Cell.Watch.Control {
				controls++
			}
			switch v := k.verdicts[i]; v.Kind {
			case VerdictAffected:
				affected++
				if f.cat.IsPlain(c.Cell.Watch) {
					plains++
				}
			case VerdictClean, VerdictHolds:
				zeros++
				if weakest.id == "" || v.Hi > weakest.v.Hi {
					weakest = named{c.Cell.ID(), v}
				}
			}
		}
	}
	if zeros+affected == 0 {
		return nil
	}
	var out []Finding
	say := func(format string, args ...any) {
		out = append(out, Finding{Kind: FindingConfidence, Text: fmt.Sprintf(format, args...)})
	}
	if zeros > 0 {
		say("Weakest zero: %s, %d of %d, rules out %s at %s; the limit asked for is %s", weakest.id,
			weakest.v.Count, weakest.v.Of, percentUp(weakest.v.Hi), percent(f.sampling.Confidence), percent(f.sampling.DetectionLimit))
	}
	positive := fmt.Sprintf("Positive control: the race was seen in %s with a plain watch", plural(plains, "cell"))
	if plains == 0 {
		positive = "No positive control: no plain watch was affected in this run, so nothing in it shows that the race would have been seen"
	}
	if controls > 0 {
		positive += fmt.Sprintf("; kqual added %s to compare with", plural(controls, "plain watch cell"))
	}
	say("%s", positive)
	var parts []string
	for _, o := range []Order{Late, Early, NotApplicable, NoOrder} {
		if orders[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", orders[o], o))
		}
	}
	if len(parts) > 0 {
		say("Order witnesses: %s", strings.Join(parts, ", "))
	}
	for _, k := range f.kernels {
		if n, why := endedBoots(k.run.Boots); n > 0 {
			say("%s: %d of %d boots ended early, the last by %s", k.run.Kernel, n, len(k.run.Boots), firstLine(why))
		}
	}
	slices.Sort(accels)
	switch {
	case slices.Contains(accels, "tcg"):
		say("Accelerator: %s; under tcg a rate is that of an emulated machine, a verdict is not", listed(accels))
	case len(accels) > 0:
		say("Accelerator: %s", listed(accels))
	}
	return out
}
