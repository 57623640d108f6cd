package guest

import (
	"errors"
	"math/rand/v2"

	"kqual/matrix"
)

// cast draws the groups of a block and gives them their parts: the first of
// groups is the reader's. A bystander is told directly before the reader or
// last of all, so that the time after the reader stays wide.
func (p *pool) cast(rng *rand.Rand, extra int, w matrix.Watch) (groups []group, by group, err error) {
	if w.Bystander == nil {
		return p.draw(rng, extra), nil, nil
	}
	groups = p.draw(rng, extra+1)
	if len(groups) < 2 {
		return nil, nil, errors.New("no second group for the bystander")
	}
	if w.Bystander.Told == matrix.ToldBefore {
		return groups[1:], groups[0], nil
	}
	last := len(groups) - 1
	return groups[:last], groups[last], nil
}

// markAll makes the reader's group, its companions and the bystander watch dir.
func markAll(src eventSource, groups []group, by group, w matrix.Watch, dir string) error {
	if err := markGroup(groups[0], w, dir); err != nil {
		return err
	}
	companion := src.companion(w)
	for _, g := range groups[1:] {
		if err := markGroup(g, companion, dir); err != nil {
			return err
		}
	}
	if by == nil {
		return nil
	}
	other := w.Bystander.Watch()
	other.UID = w.UID
	return markGroup(by, other, dir)
}
