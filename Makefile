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

# The readers of reports: a browser, Markdown as GitHub renders it, XML, TAP.
BROWSER_PACKAGES := chromium=chromium node=nodejs npm=npm cmark-gfm=cmark-gfm xmllint=libxml2-utils prove=perl

# What tests of the kernel sources call beside that.
TEST_PACKAGES := rpmbuild=rpm ccache=ccache git=git

# What matrices/toolchains.yaml compiles with.
COMPILER_PACKAGES := gcc-11=gcc-11 clang=clang

.PHONY: qualify build deps go test test-unit test-vm test-browser demo lint vuln fuzz bench proposals full readme clean

# The main job: boot every kernel of matrix.yaml and print the table.
qualify: deps build
	./kqual run

# One static binary; it is its own guest, so it must not be linked dynamically.
build: go
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X kqual/internal/cli.version=$(VERSION)' -o kqual .

# Install what is missing, and only that.
deps:
	@scripts/deps $(PACKAGES)

go:
	@scripts/need-go

# Every test: linters, unit tests under the race detector, then real kernels in
# real virtual machines.
test: deps lint test-unit test-browser test-vm

test-unit: go
	@scripts/deps $(TEST_PACKAGES)
	$(GO) test -race ./...

# KQUAL_VM=1 turns every test that needs a machine on; a missing QEMU then
# fails. They run one after the other: they are about races.
test-vm: deps build
	@scripts/deps $(TEST_PACKAGES)
	KQUAL_VM=1 $(GO) test -count=1 -p 1 -timeout 35m -run 'VM' ./kernels ./runner ./internal/e2e

# The HTML report in a real browser, and the text formats in real readers.
test-browser: go
	@scripts/deps $(BROWSER_PACKAGES)
	cd scripts/browser && npm ci --no-audit --no-fund --silent
	KQUAL_BROWSER=1 $(GO) test -count=1 -timeout 10m -run 'Browser|Reader|Large' ./reports ./internal/serve

# What docs/ shows: a real report of the default matrix.
demo: deps build
	@scripts/deps $(BROWSER_PACKAGES)
	mkdir -p docs/demo
	./kqual run -o markdown=docs/demo/report.md -o svg=docs/demo/rates.svg -o html=docs/demo/report.html
	# Neither this machine's mirror nor its logs are there for a reader.
	sed -i -E -e 's#https?\\?://[^/ "]+/debian#the mirror of apt, /debian#g' \
		-e 's#\[([^]]*)\]\(<\.\./\.\./out/[^>]*>\)#\1#g' -e 's#"url":"\.\./\.\./out/[^"]*",?##g' docs/demo/report.md docs/demo/report.html
	chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --user-data-dir=$$(mktemp -d) --hide-scrollbars \
		--window-size=1280,1800 --screenshot=docs/demo/report.png file://$(CURDIR)/docs/demo/report.html

lint: go
	@unformatted=$$($(GO) run $(GOFUMPT) -l .); test -z "$$unformatted" || { echo "gofumpt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
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

# What docs/proposals.md shows: verdicts and costs of the proposals, and watches
# that come and go meanwhile.
proposals: deps build
	$(MAKE) full FULL=proposals
	KQUAL_VM=1 KQUAL_FULL=1 $(GO) test -count=1 -timeout 60m -v -run VMWatchesMayComeAndGo ./runner

# The large counts, part by part: whole matrices (lower case) and tests. Each
# part's result appears under docs/full as soon as it is through.
FULL := Repetitions EveryScenario AKilledRun FromGit filesystems bases toolchains proposals
full: deps build
	@scripts/deps $(TEST_PACKAGES) $(if $(filter toolchains,$(FULL)),$(COMPILER_PACKAGES))
	@mkdir -p docs/full
	@for part in $(FULL); do \
		echo "== $$part"; \
		if test -e matrices/$$part.yaml; then \
			./kqual run -m matrices/$$part.yaml --out out/full-$$part > /dev/null || exit 1; \
			sed -E 's#https?\\?://[^/ "]+/debian#the mirror of apt, /debian#g' out/full-$$part/report.md > docs/full/$$part.md; \
			continue; \
		fi; \
		KQUAL_VM=1 KQUAL_FULL=1 $(GO) test -count=1 -p 1 -timeout 12h -v -run "VM.*$$part" ./runner ./internal/e2e > docs/full/$$part.txt.new || exit 1; \
		mv docs/full/$$part.txt.new docs/full/$$part.txt; \
	done

# Put the tables of the last run into the README.
readme: build
	scripts/readme-table

clean:
	rm -rf kqual out
