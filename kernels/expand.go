package kernels

import (
	"context"
	"fmt"

	"kqual/matrix"
)

// Variant is one of the kernels that an entry of the matrix stands for.
type Variant struct {
	Suffix string // what tells it from the others of its entry: 6.1.140-1
	Config any    // for Fetch
}

// expander is a Source whose entries can stand for several kernels.
type expander interface {
	// several says whether config can stand for more than one kernel; it needs
	// no network.
	several(config any) bool
	// expand lists the kernels that config stands for, oldest first.
	expand(ctx context.Context, env Env, config any) ([]Variant, error)
	// expanded is the config of a variant that a lock has.
	expanded(config any, pin *Pin) any
}

// CanExpand says whether an entry of the matrix can stand for several kernels.
func CanExpand(k matrix.Kernel) bool {
	x, ok := sources[k.Source].(expander)
	return ok && x.several(k.Config)
}

// Expand returns the kernels that an entry of the matrix stands for: itself, or
// one per variant, named ENTRY-SUFFIX.
func Expand(ctx context.Context, env Env, k matrix.Kernel) ([]matrix.Kernel, error) {
	if !CanExpand(k) {
		return []matrix.Kernel{k}, nil
	}
	variants, err := sources[k.Source].(expander).expand(ctx, env.of(k), k.Config)
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	out := make([]matrix.Kernel, len(variants))
	for i, v := range variants {
		out[i] = k
		out[i].Name += "-" + v.Suffix
		out[i].Config = v.Config
	}
	return out, nil
}
