package runner

import "testing"

func TestHowAMachineEndedIsReadFromItsConsole(t *testing.T) {
	tests := map[string]struct{ console, end, words string }{
		"power off":    {"kqual guest: mount ext4: no\n[    1.212310] reboot: Power down\r\n", "powered off", "mount ext4: no"},
		"restart":      {"[    1.212310] reboot: Restarting system\r\n", "restarted", ""},
		"triple fault": {"[    1.212310] Run /init as init process\r\n", "was reset without a word, as by a triple fault,", ""},
		"last words":   {"kqual guest: one\r\nkqual guest: two\r\n", "was reset without a word, as by a triple fault,", "two"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := &boot{log: writeLog(t, tt.console)}
			if end, words := b.machineEnd(), b.lastWords(); end != tt.end || words != tt.words || b.silent() {
				t.Errorf("it %s; %q", end, words)
			}
		})
	}
	if b := (&boot{log: writeLog(t, "\r\n")}); !b.silent() {
		t.Error("an empty console is not silent")
	}
}
