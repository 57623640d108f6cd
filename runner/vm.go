package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hugelgupf/vmtest/qemu"
	"golang.org/x/sys/unix"

	"kqual/matrix"
	"kqual/runner/wire"
)

// Accelerators that QEMU can run a guest with.
const (
	AccelKVM = "kvm"
	AccelTCG = "tcg"
)

// vmConfig is one virtual machine.
type vmConfig struct {
	arch       *arch
	accel      string
	machine    matrix.Machine
	kernel     string
	initramfs  string
	disks      []string // raw images; what the guest writes goes to a snapshot
	consoleLog string   // the console is written here by QEMU itself
	cpus       []int    // host CPUs to boot on; none leave that to the host
}

// vm is a running virtual machine.
type vm struct {
	// records is what the guest writes to its channel; it ends when QEMU does.
	records *os.File
	cmdline string
	name    string       // -name of QEMU
	pid     atomic.Int64 // of QEMU, as soon as it is known
	// confined are the host CPUs to keep to, as far as they were ever said.
	confined atomic.Pointer[[]int]
	kill     context.CancelFunc
	ended    chan struct{}
	err      error        // of QEMU; valid after ended is closed
	output   *boundedText // what QEMU itself said
}

// kernelArgs are on every kernel command line, beside the architecture's. The
// crypto self-tests (cryptomgr.notests, kernel-parameters.txt) would be a seventh
// to a quarter of a Debian kernel's boot under TCG. The Go variables reach the
// guest's environment: no collection and no preemption signals while trials run
// (one collection costs 13 to 65 ms under TCG).
var kernelArgs = []string{
	"loglevel=5", "panic=-1", "oops=panic", "random.trust_cpu=on", "cryptomgr.notests",
	"GOGC=off", "GOMAXPROCS=4", "GODEBUG=asyncpreemptoff=1",
}

// startVM starts QEMU. It does not outlive this process, not even a SIGKILL of
// it: setpriv sets the parent-death signal, which is tied to the thread that
// starts QEMU, so that thread is kept until QEMU has ended.
func startVM(ctx context.Context, cfg vmConfig) (*vm, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make the result channel: %w", err)
	}
	r, w := os.NewFile(uintptr(ends[0]), "result channel"), os.NewFile(uintptr(ends[1]), "result channel")
	ctx, cancel := context.WithCancel(ctx)
	v := &vm{records: r, kill: cancel, ended: make(chan struct{}), output: &boundedText{}}
	v.name = fmt.Sprintf("kqual-%d-%08x", os.Getpid(), rand.Uint32())
	started := make(chan error)
	go func() {
		runtime.LockOSThread()  // and never unlocked: the thread ends with this goroutine
		bindThread(0, cfg.cpus) // QEMU inherits it
		defer close(v.ended)
		files := &handOver{}
		machine, err := qemu.StartContext(ctx, cfg.arch.vmtest, v.options(cfg, v.name, w, files))
		w.Close()
		files.close()
		if err != nil {
			started <- fmt.Errorf("start QEMU: %w", err)
			return
		}
		v.cmdline = machine.CmdlineQuoted()
		started <- nil
		settling, settled := context.WithCancel(ctx)
		var settler sync.WaitGroup
		settler.Go(func() { v.raise(settling) })
		v.err = machine.Wait()
		settled()
		settler.Wait()
	}()
	if err := <-started; err != nil {
		cancel()
		r.Close()
		return nil, err
	}
	return v, nil
}

// stop ends QEMU, if it has not ended by itself, and waits for that.
func (v *vm) stop() {
	v.kill()
	<-v.ended
	v.records.Close()
}

// race gives QEMU the CPUs to race on and lets the guest, which waits for that,
// go on. A guest that is gone shows at its records.
func (v *vm) race(ctx context.Context, vcpus int, cpus []int) {
	v.settle(ctx, vcpus, cpus)
	_, _ = v.records.WriteString(wire.Go)
}

// options fills in everything by itself: whatever VMTEST_* variables put in
// before is dropped.
func (v *vm) options(cfg vmConfig, name string, records *os.File, files *handOver) qemu.Fn {
	return func(_ *qemu.IDAllocator, o *qemu.Options) error {
		*o = qemu.Options{
			QEMUCommand: wrapper(cfg.accel) + cfg.arch.program,
			KernelArgs:  strings.Join(slices.Concat(cfg.arch.kernelArgs, kernelArgs), " "),
		}
		files.add = o.AddFile
		o.Kernel, o.Initramfs = files.open(cfg.kernel), files.open(cfg.initramfs)
		console := files.create(cfg.consoleLog)
		accel := AccelKVM
		if cfg.accel == AccelTCG {
			accel = "tcg,thread=multi"
		}
		fd := o.AddFile(records)
		o.AppendQEMU(
			"-name", name+",debug-threads=on",
			"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
			"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
			"-accel", accel, "-cpu", cfg.arch.cpuModel(cfg.accel, cfg.machine),
			"-smp", strconv.Itoa(cfg.machine.VCPUs), "-m", fmt.Sprintf("%dM", cfg.machine.Memory>>20),
			"-add-fd", fmt.Sprintf("fd=%d,set=1", console),
			"-chardev", "file,id=console,path=/dev/fdset/1", "-serial", "chardev:console",
			"-chardev", fmt.Sprintf("socket,id=records,fd=%d", fd),
		)
		o.AppendQEMU(slices.Concat(cfg.arch.machine, cfg.arch.records)...)
		for i, disk := range cfg.disks {
			o.AppendQEMU(
				"-drive", fmt.Sprintf("if=none,id=disk%d,format=raw,cache=unsafe,snapshot=on,file=%s", i, files.open(disk)),
				"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d", i),
			)
		}
		o.SerialOutput = append(o.SerialOutput, v.output)
		return files.err
	}
}

// memoryDir is where QEMU keeps what the guest writes to its disks (a few MB),
// if it can: a host disk that is busy must not stall a guest's journal.
const memoryDir = "/dev/shm"

// wrapper starts QEMU in a session of its own (a Ctrl-C is for kqual alone),
// with a parent-death signal and, for root, first in line and without root's
// privileges.
func wrapper(accel string) string {
	w := "setsid setpriv " + dropOptions(accel) + "--pdeathsig KILL -- "
	if err := unix.Access(memoryDir, unix.W_OK); err == nil {
		w = "env TMPDIR=" + memoryDir + " " + w
	}
	if os.Geteuid() == 0 {
		w = fmt.Sprintf("nice -n %d %s", raceNice, w)
	}
	return w
}

// boundedText keeps the first part of what is written to it.
type boundedText struct {
	mu   sync.Mutex
	text []byte
}

// boundedTextSize is enough for QEMU's own complaints, in bytes.
const boundedTextSize = 16 << 10

func (b *boundedText) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p[:min(len(p), boundedTextSize-len(b.text))]...)
	return len(p), nil
}

// Close makes it an io.WriteCloser; it keeps its text.
func (b *boundedText) Close() error { return nil }

// String is what was written, without surrounding space.
func (b *boundedText) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(string(b.text))
}

// absolute makes paths fit for QEMU, which may look them up elsewhere.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
