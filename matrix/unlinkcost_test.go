package matrix

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

// withCosts is the matrix of the design with costs asked for.
func withCosts(t *testing.T, costs string) (*Spec, error) {
	t.Helper()
	return Parse("m.yaml", append(designMatrix(t), costs...), testCatalog())
}

func TestCostsHaveDefaultsAndBounds(t *testing.T) {
	spec, err := withCosts(t, "costs: {baseline: v5.10-affected}\n")
	if err != nil {
		t.Fatal(err)
	}
	if c := spec.Costs; c.Baseline != "v5.10-affected" || len(c.Groups) != 3 || c.Boots != 6 {
		t.Errorf("%+v", c)
	}
	for costs, want := range map[string]string{
		"costs: {}\n":                            "costs.baseline: is missing; add text",
		"costs: {baseline: v5.10-afected}\n":     `costs.baseline: unknown kernel "v5.10-afected"; did you mean "v5.10-affected"?`,
		"costs: {baseline: X, groups: [-1]}\n":   "costs.groups[0]: is -1; write 0 to 256 groups",
		"costs: {baseline: X, groups: [257]}\n":  "costs.groups[0]: is 257; write 0 to 256 groups",
		"costs: {baseline: X, groups: [1, 1]}\n": "costs.groups[1]: is 1 after 1; write them in ascending order",
		"costs: {baseline: X, boots: 1}\n":       "costs.boots: is 1; write 2 to 100",
		"costs: {baseline: X, rounds: 1}\n":      `costs.rounds: unknown key "rounds"`,
	} {
		if _, err := withCosts(t, costs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\nwant %s", costs, err, want)
		}
	}
}

func TestCostsNeedTheirBaseline(t *testing.T) {
	spec, err := withCosts(t, "costs: {baseline: v5.10-affected, boots: 4}\n")
	if err != nil {
		t.Fatal(err)
	}
	all, err := NewPlan(spec, testCatalog(), Selection{})
	if err != nil {
		t.Fatal(err)
	}
	without := *spec
	without.Costs = nil
	plain, err := NewPlan(&without, testCatalog(), Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if all.Costs == nil || all.NoCosts != "" || all.Cost().Boots != plain.Cost().Boots+4*len(all.Kernels) || all.Cost().Likely <= plain.Cost().Likely {
		t.Errorf("%+v %q, %d boots", all.Costs, all.NoCosts, all.Cost().Boots)
	}
	sel, err := ParseSelection([]string{"kernel=debian-11"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	part, err := NewPlan(spec, testCatalog(), sel)
	if err != nil {
		t.Fatal(err)
	}
	if part.Costs != nil || !strings.Contains(part.NoCosts, "v5.10-affected is not selected") {
		t.Errorf("%+v %q", part.Costs, part.NoCosts)
	}
}

func TestARatioHasTheIntervalOfItsRounds(t *testing.T) {
	if r := ratioOf([]float64{0.5, 0.5, 0.5}, 0.95); math.Abs(r.Value-0.5) > 1e-9 || r.Lo != r.Hi {
		t.Errorf("equal rounds: %+v", r)
	}
	// Logarithms −ln 2, 0, ln 2: mean 0, deviation ln 2, t(2; 0.975) = 4.3027.
	r := ratioOf([]float64{0.5, 1, 2}, 0.95)
	want := math.Exp(4.302653 * math.Ln2 / math.Sqrt(3))
	if math.Abs(r.Value-1) > 1e-9 || math.Abs(r.Hi-want) > 1e-4*want || math.Abs(r.Lo*r.Hi-1) > 1e-9 {
		t.Errorf("three rounds: %+v, want 1 and %v", r, want)
	}
	if r := ratioOf([]float64{0.5}, 0.95); r != nil {
		t.Errorf("one round has %+v", r)
	}
}

func bootOfCosts(round int, ns ...float64) CostBoot {
	b := CostBoot{Round: round, Accel: "tcg"}
	for i, n := range ns {
		b.Samples = append(b.Samples, CostSample{Groups: i, Nanosec: n})
	}
	return b
}

func TestCostsAreComparedRoundByRound(t *testing.T) {
	failed := CostBoot{Round: 1, Accel: "kvm", Error: &Failure{Reason: "panic"}}
	// The host is ten times slower in the second round, for all of them alike.
	runs := []KernelRun{
		{Kernel: "stock", Costs: []CostBoot{bootOfCosts(0, 100, 200), bootOfCosts(1, 1000, 2000)}},
		{
			Kernel: "slow", Costs: []CostBoot{bootOfCosts(1, 2000, 2000), bootOfCosts(0, 200, 200)},
			Provenance: Provenance{Patches: []Patch{{Name: "first"}, {Name: "last", Added: 3}}},
		},
		{Kernel: "broken", Costs: []CostBoot{bootOfCosts(0, 100, 200), failed}},
		{Kernel: "hostile", Costs: []CostBoot{bootOfCosts(0, -1, 1e-300), bootOfCosts(1, 1e300, 0), bootOfCosts(7, 1, 1)}},
		{Kernel: "unmeasured"},
	}
	table := Costs(&CostPlan{Baseline: "stock", Groups: []int{0, 1}, Boots: 2}, runs, 0.95)
	if len(table.Rows) != 4 || strings.Join(table.Accels, " ") != "kvm tcg" {
		t.Fatalf("%+v", table)
	}
	stock, slow, broken, hostile := table.Rows[0], table.Rows[1], table.Rows[2], table.Rows[3]
	if stock.Costs[0].Ratio != nil || math.Abs(stock.Costs[0].PerSecond-1e9/550) > 1e-3 || stock.Patch != nil {
		t.Errorf("%+v", stock)
	}
	if r := slow.Costs[0].Ratio; math.Abs(r.Value-0.5) > 1e-9 || math.Abs(r.Hi-0.5) > 1e-9 || slow.Patch.Name != "last" {
		t.Errorf("%+v, %+v", r, slow)
	}
	if r := slow.Costs[1].Ratio; math.Abs(r.Value-1) > 1e-9 {
		t.Errorf("%+v", r)
	}
	if broken.Boots != 1 || broken.Error == nil || broken.Costs[0].Ratio != nil || broken.Costs[0].PerSecond != 1e7 {
		t.Errorf("%+v", broken)
	}
	if hostile.Costs[0].Ratio != nil || hostile.Costs[1].Ratio != nil {
		t.Errorf("%+v", hostile)
	}
	if Costs(nil, runs, 0.95) != nil || Costs(&CostPlan{}, runs[4:], 0.95) != nil {
		t.Error("costs that nobody measured")
	}
}

func TestThePatchOnTopIsWithoutItsBase(t *testing.T) {
	a, b, c := Patch{Name: "a", Files: 1, Added: 1}, Patch{Name: "b", Files: 2, Added: 10, Removed: 3}, Patch{Name: "c", Files: 1, Added: 100, Removed: 4}
	base := a
	base.Base = true
	for _, test := range []struct {
		patches []Patch
		want    *Patch
	}{
		{nil, nil},
		{[]Patch{a, b}, &b},
		{[]Patch{base}, nil},
		{[]Patch{base, b}, &b},
		{[]Patch{base, b, c}, &Patch{Name: "b c", Files: 3, Added: 110, Removed: 7}},
	} {
		if got := topPatch(test.patches); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v: %+v, want %+v", test.patches, got, test.want)
		}
	}
}
