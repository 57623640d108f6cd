package runner

import "testing"

// Faults of the result channel.
var channelFaults = []fault{
	{
		name: "garbage", means: "bytes that are no record", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^garbage on the channel: read record \d+: not a record`, again: true,
	},
	{
		name: "half-record", means: "half a record, then power off", at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown, atEnd},
		fails: `^lost channel: the machine powered off before the guest was done`, again: true,
	},
	{
		name: "half-and-hang", means: "half a record, then silence", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown},
		fails: `^deadline: no record (within|for) `, again: true,
	},
	{
		name: "other-version", means: "a record of version 2", at: []string{atStart, atBoot, atSetup, atTrials, atBetween, atTeardown},
		fails: `^garbage on the channel: read record \d+: not a record of version 1`, again: true,
	},
	{
		name: "out-of-order", means: "a record with a number that is not its turn", at: []string{atBetween, atBoot, atStart, atSetup, atTrials, atTeardown},
		fails: `^garbage on the channel: read record \d+: got number 100000`, again: true,
	},
	{
		name: "endless-record", means: "a record longer than 256 KiB", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown},
		// On a slow host the wait ends before the record is too long.
		fails: `^(garbage on the channel: read record \d+: .*token too long|deadline: no record (within|for) )`, again: true,
	},
	{
		name: "closed", means: "the guest closes its port", at: []string{atTrials, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^lost channel: the machine powered off before the guest was done`, again: true,
	},
	{
		name: "early-done", means: "done is said before any cell", at: []string{atStart},
		fails: `^the guest was done without an answer for this cell`, goesOn: true,
	},
}

func TestVMFaultsOfTheChannel(t *testing.T) {
	needVM(t)
	injectAll(t, injections(channelFaults), usual)
}
