package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// indelchurnNames is the number of names of the original's loop.
const indelchurnNames = 9999

func init() {
	each := churn{names: indelchurnNames, first: 1, buffer: 32 * unix.SizeofInotifyEvent, poll: true}
	batch := each
	batch.batch = true
	const doc = " Nothing widens the window, so the rate is what an unmodified application meets. Promise: after " +
		"IN_DELETE the name is gone. Broken by 49246466a989 (5.3), mended by a37d9a17f099 (5.17). Stale: open(2) " +
		"succeeded and the content has the number of the round whose event named it; names repeat, so nothing " +
		"else tells. Where the original sleeps between rounds, the deleter waits for the reader"
	registerChurn("indelchurn", each, "the reproducer of the first report: 9,999 names, each created and deleted "+
		"at once, while a reader polls, reads at most 512 bytes of events and opens every name."+doc)
	registerChurn("indelchurn-batch", batch, "indelchurn with the option to create all names, then delete all."+doc)
}

// registerChurn registers a natural scenario.
func registerChurn(name string, c churn, doc string) {
	scenarios[name] = scenario{
		Scenario: matrix.Scenario{
			Name: name, Doc: doc,
			Object: matrix.ObjectDirectory, Identity: "content", Events: deleteEvents, Natural: true,
		},
		bits:  unix.IN_DELETE,
		churn: &c,
	}
}
