package runner

import (
	"os"
	"strings"
)

// farewells are what a kernel says (at KERN_EMERG) when it ends a machine in an
// orderly way: kernel/reboot.c.
var farewells = []struct{ line, end string }{
	{"reboot: Power down", "powered off"},
	{"reboot: Restarting system", "restarted"},
}

// machineEnd says how a machine ended that QEMU has no complaint about. A reset
// without a word is what a triple fault makes.
func (b *boot) machineEnd() string {
	console := b.console()
	for _, f := range farewells {
		if strings.Contains(console, f.line) {
			return f.end
		}
	}
	return "was reset without a word, as by a triple fault,"
}

// lastWords is what the guest program itself printed before it gave up.
func (b *boot) lastWords() string {
	const mark = "kqual guest: "
	console := b.console()
	at := strings.LastIndex(console, mark)
	if at < 0 {
		return ""
	}
	line, _, _ := strings.Cut(console[at+len(mark):], "\n")
	return strings.TrimSpace(line)
}

// silent says whether the machine wrote nothing to its console.
func (b *boot) silent() bool { return strings.TrimSpace(b.console()) == "" }

// console is all that the machine wrote to its console.
func (b *boot) console() string {
	data, err := os.ReadFile(b.log)
	if err != nil {
		return ""
	}
	return string(data)
}
