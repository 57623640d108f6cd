# kqual: build, qualify, test. Everything a target needs and this machine does
# not have is installed first, through apt (with sudo where not root).

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Debian packages: virtual machines and filesystem images, then kernel builds.
PACKAGES := qemu-system-x86 e2fsprogs xfsprogs btrfs-progs dosfstools util-linux debian-archive-keyring ca-certificates \
            gcc make binutils perl flex bison bc libelf-dev libssl-dev xz-utils tar patch

# The readers of reports: a browser, Markdown as GitHub renders it, XML, TAP; of
# deploy/: cron, and what the reader of GitLab's jobs calls.
BROWSER_PACKAGES := chromium=chromium node=nodejs npm=npm git=git cron=cron cmark-gfm=cmark-gfm xmllint=libxml2-utils prove=perl

# Guests of another architecture: 9 MB to download, 43 MB installed, 10 seconds.
ARCH_PACKAGES := qemu-system-arm

# What tests of the kernel sources call beside that.
TEST_PACKAGES := rpmbuild=rpm ccache=ccache git=git

# What matrices/toolchains.yaml compiles with.
COMPILER_PACKAGES := gcc-11=gcc-11 clang=clang

.PHONY: qualify build guests deps go test test-unit test-vm test-faults soak test-browser demo lint vuln fuzz bench proposals full readme clean

# The main job: boot every kernel of matrix.yaml and print the table.
qualify: deps build
	./kqual run

# One static binary; it is its own guest, so it must not be linked dynamically.
build: guests
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X kqual/internal/cli.version=$(VERSION)' -o kqual .

# What it carries to be the guest on other architectures than this host's.
guests: go
	@scripts/guests $(GO)

# Install what is missing, and only that.
deps:
	@scripts/deps $(PACKAGES)

go:
	@scripts/need-go

# Every test: linters, unit tests under the race detector, then real kernels in
# real virtual machines.
test: deps lint test-unit test-browser test-vm

test-unit: guests
	@scripts/deps $(TEST_PACKAGES)
	$(GO) test -race ./...

# KQUAL_VM=1 turns every test that needs a machine on; a missing QEMU then
# fails. They run one after the other: they are about races.
test-vm: deps build
	@scripts/deps $(TEST_PACKAGES) $(ARCH_PACKAGES)
	KQUAL_VM=1 $(GO) test -count=1 -p 1 -timeout 35m -run 'VM' ./kernels ./runner ./internal/e2e

# One fault of each class, injected into real boots; docs/faults.md.
test-faults: deps build
	KQUAL_VM=1 $(GO) test -count=1 -timeout 20m -v -run 'VMFaults' ./runner

# Boot in a loop with faults sprinkled in: nothing may leak.
SOAK ?= 5m
soak: deps build
	scripts/soak $(SOAK)

# Pages in a real browser, text formats and what deploy/ has in real readers.
test-browser: go
	@scripts/deps $(BROWSER_PACKAGES)
	cd scripts/browser && npm ci --no-audit --no-fund --silent
	KQUAL_BROWSER=1 $(GO) test -count=1 -timeout 10m -run 'Browser|Reader|Large' ./reports ./internal/serve ./deploy

# What docs/ shows: a real report of every series of Debian kernels at hand and
# of the variants that are built; the natural rate is measured on some of them.
demo: deps build
	@scripts/deps $(BROWSER_PACKAGES)
	mkdir -p docs/demo
	./kqual run -m matrices/demo.yaml --out runs/demo --only scenario=unlink \
		--only 'scenario=indelchurn,filesystem=ext4,watch=IN_DELETE,kernel=v*|debian-1?-?.*' > /dev/null \
		|| test $$? -eq 3 # a kernel without an answer is shown, too
	scripts/demo runs/demo/results.json docs/demo

lint: go
	@unformatted=$$($(GO) run $(GOFUMPT) -l .); test -z "$$unformatted" || { echo "gofumpt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
	GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# Known vulnerabilities of the dependencies; it needs the network's database.
vuln: go
	$(GO) run $(GOVULNCHECK) ./...

FUZZTIME ?= 30s
fuzz: go
	@scripts/fuzz $(FUZZTIME)

bench: deps build
	KQUAL_VM=1 $(GO) test -run '^$$' -bench . -benchtime 3x -timeout 60m ./runner
	KQUAL_VM=1 $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./kernels ./internal/e2e
	$(GO) test -run '^$$' -bench History -benchtime 3x -timeout 60m ./internal/history

# What docs/proposals.md shows: verdicts and costs of the proposals, and watches
# that come and go meanwhile.
proposals: deps build
	$(MAKE) full FULL=proposals
	KQUAL_VM=1 KQUAL_FULL=1 $(GO) test -count=1 -timeout 60m -v -run VMWatchesMayComeAndGo ./runner

# The large counts, part by part: whole matrices (lower case) and tests. Each
# part's result appears under docs/full as soon as it is through.
FULL := Soak Repetitions EveryScenario AKilledRun AKilledNightly FromGit filesystems bases toolchains proposals \
        FaultsOfTheKernel FaultsOfStalls FaultsOfChecks FaultsOfTheGuest FaultsOfTheChannel FaultsOfQEMU FaultsOfTheEmulation FaultsOfTheBoot FaultsOfTheDisk
full: deps build
	@scripts/deps $(TEST_PACKAGES) $(if $(filter toolchains,$(FULL)),$(COMPILER_PACKAGES))
	@mkdir -p docs/full
	@for part in $(FULL); do \
		echo "== $$part"; \
		if test -e matrices/$$part.yaml; then \
			./kqual run -m matrices/$$part.yaml --out runs/full-$$part > /dev/null || exit 1; \
			sed -E 's#https?\\?://[^/ "]+/debian#the mirror of apt, /debian#g' runs/full-$$part/report.md > docs/full/$$part.md; \
			continue; \
		fi; \
		KQUAL_VM=1 KQUAL_FULL=1 $(GO) test -count=1 -p 1 -timeout 12h -v -run "VM.*$$part" ./runner ./internal/e2e > docs/full/$$part.txt.new || exit 1; \
		grep -v '^=== RUN' docs/full/$$part.txt.new > docs/full/$$part.txt; \
		rm docs/full/$$part.txt.new; \
	done

# Put the tables of the last run into the README.
readme: build
	scripts/readme-table

# Runs stay: they are results. rm -r runs removes them.
clean:
	rm -rf kqual
