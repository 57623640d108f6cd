package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// aSystem is this system with /etc, /var and /usr/local that may be written to
// and are forgotten, and with no job for cron. $1 is a directory with kqual and
// matrix.yaml, $2 what sets the nights up, as docs/nightly.md has it.
const aSystem = `set -eu
exec 2>&1
over=$1/over
mkdir "$over"
mount --make-rprivate /
mount -t tmpfs none "$over"
for d in etc var usr/local; do
	mkdir -p "$over/$d/new" "$over/$d/work"
	mount -t overlay -o "lowerdir=/$d,upperdir=$over/$d/new,workdir=$over/$d/work" none "/$d"
done
mount -t tmpfs none /run
rm -rf /etc/crontab /etc/cron.d /var/spool/cron/crontabs
mkdir /etc/cron.d /var/spool/cron/crontabs
cp "$1/kqual" /usr/local/bin/
mkdir /etc/kqual
cp "$1/matrix.yaml" /etc/kqual/
getent group kvm > /dev/null || groupadd --system kvm
eval "$2"
sed -i 's/^[0-9]* [0-9]* /* * /' /etc/cron.d/kqual # within a minute, not tonight
cron -f -L 15 &
until cat /var/lib/kqual/runs/*/night.json 2> /dev/null; do sleep 0.2; done
stat -c 'owner %U' /var/lib/kqual/history.db /var/cache/kqual
`

// The crontab, installed as docs/nightly.md says, by a cron that is real: in a
// system of its own, since it would run what else there is. KQUAL_BROWSER=1
// turns it on, as every test of a foreign program; a missing cron then fails.
func TestReaderCronMakesANight(t *testing.T) {
	if os.Getenv("KQUAL_BROWSER") != "1" {
		t.Skip("KQUAL_BROWSER=1 runs cron; make test-browser does")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give cron a system of its own")
	}
	if out, err := exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run").CombinedOutput(); err != nil {
		t.Skipf("this root may not mount: %v %s", err, out)
	}
	dir := t.TempDir()
	buildInto(t, filepath.Join(dir, "kqual"))
	if err := os.WriteFile(filepath.Join(dir, "matrix.yaml"), []byte(noKernel), 0o644); err != nil {
		t.Fatal(err)
	}
	setUp := ""
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(read(t, "../docs/nightly.md"), -1) {
		if strings.Contains(m[1], "useradd ") || strings.Contains(m[1], "/etc/cron.d/") {
			setUp += m[1]
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", aSystem, "sh", dir, setUp)
	cmd.Dir = ".." // where the documentation stands
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"exit": 3`) || strings.Count(string(out), "owner kqual\n") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}
