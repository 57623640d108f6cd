package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// partnerName is what this program is called where it is a partner.
	partnerName = "kqual-partner"
	// commandSize has room for the path of any directory, bytes. What fits PIPE_BUF
	// (4,096) is written and read in one piece (pipe(7)).
	commandSize = 256
	// answerSize is the number of the command and the errno it ended with, bytes.
	answerSize = 8
	// partnerPatience is how long an answer may take. A round of a natural scenario
	// takes 0.3 to 1.3 s (measured, TCG, tmpfs and ext4 on 5.10); this only has to
	// outlast a stalled host.
	partnerPatience = 30 * time.Second
)

// The commands: a letter, numbers of 8 bytes, a NUL-terminated directory.
const (
	holdCommand    = 'h' // open victims for writing: numbers of holdOrder, directory
	releaseCommand = 'r' // close them again
	churnCommand   = 'c' // let the names of a round live and die: numbers of churnOrder, directory
)

// partner is another process, for scenarios with two of them: this program,
// started again. Two pipes lead to it, since they are in every kernel, however
// small its configuration.
//
// It runs on the deleter's CPU, which a child inherits from the thread that
// starts it (sched_setaffinity(2)), and the deleter sleeps while it waits for an
// answer. On the reader's CPU a process that wakes up would wait for the end of
// a time slice, because the reader spins.
type partner struct {
	process  *os.Process
	ended    *os.ProcessState // nil while it has not been waited for
	commands int              // write end
	answers  int              // read end, nonblocking
	patience time.Duration
	asked    uint32 // commands so far
	command  [commandSize]byte
	answer   [answerSize]byte
}

// init makes every program that contains the guest its own partner.
func init() {
	if os.Args[0] == partnerName {
		servePartner(unix.Stdin, unix.Stdout)
		os.Exit(0)
	}
}

// startPartner starts the process and waits until it is ready.
func startPartner() (*partner, error) {
	var commands, answers [2]int
	if err := unix.Pipe2(commands[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe2: %w", err)
	}
	if err := unix.Pipe2(answers[:], unix.O_CLOEXEC); err != nil {
		unix.Close(commands[0])
		unix.Close(commands[1])
		return nil, fmt.Errorf("pipe2: %w", err)
	}
	p := &partner{commands: commands[1], answers: answers[0], patience: partnerPatience}
	in, out := os.NewFile(uintptr(commands[0]), "commands"), os.NewFile(uintptr(answers[1]), "answers")
	process, err := os.StartProcess("/proc/self/exe", []string{partnerName}, &os.ProcAttr{
		Files: []*os.File{in, out, os.Stderr},
		// One thread works, and nothing else wakes up beside a trial.
		Env: []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1"},
	})
	in.Close()
	out.Close()
	if err == nil {
		p.process = process
		err = errors.Join(unix.SetNonblock(p.answers, true), p.await())
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("start the partner process: %w", err)
	}
	return p, nil
}

// holdOrder says which victims to hold.
type holdOrder [2]uint64 // first number, how many

// hold returns when the process has opened so many victims, from the one of that
// number on, in the directory at dir, for writing.
func (p *partner) hold(dir string, first, count int) error {
	order := holdOrder{uint64(first), uint64(count)}
	if err := p.order(holdCommand, dir, order[:]); err != nil {
		return fmt.Errorf("hold %d victims in %s: %w", count, dir, err)
	}
	return nil
}

// release returns when the process has closed what it held. An error says that
// it may not have held it all the time.
func (p *partner) release() error {
	p.command[0] = releaseCommand
	if err := p.ask(p.command[:1]); err != nil {
		return fmt.Errorf("release the victims: %w", err)
	}
	return nil
}

// churnOrder is what the deleter of a round has to know.
type churnOrder [5]uint64 // nonce, round, first number, how many, whether in a batch: 0 or 1

// churn returns when the process has let every name of a round live and die in
// the directory at dir.
func (p *partner) churn(dir string, c *churn, nonce uint64, round int) error {
	order := churnOrder{nonce, uint64(round), uint64(c.first), uint64(c.names)}
	if c.batch {
		order[4] = 1
	}
	if err := p.order(churnCommand, dir, order[:]); err != nil {
		return fmt.Errorf("create or delete a name in %s: %w", dir, err)
	}
	return nil
}

// order gives a command about a directory and waits until it is done.
func (p *partner) order(letter byte, dir string, numbers []uint64) error {
	if 1+8*len(numbers)+len(dir)+1 > len(p.command) {
		return unix.ENAMETOOLONG
	}
	command := append(p.command[:0], letter)
	for _, n := range numbers {
		command = binary.NativeEndian.AppendUint64(command, n)
	}
	command = append(command, dir...)
	return p.ask(append(command, 0))
}

// ask gives a command and waits until it is done.
func (p *partner) ask(command []byte) error {
	p.asked++
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(p.commands), uintptr(unsafe.Pointer(&command[0])), uintptr(len(command)))
	switch errno {
	case 0:
		return p.await()
	case unix.EPIPE:
		return p.gone()
	}
	return fmt.Errorf("write to the partner process: %w", errno)
}

// await sleeps until the last command has been answered.
func (p *partner) await() error {
	begin := time.Now()
	for {
		pollIn(p.answers, p.patience)
		n, errno := rawRead(p.answers, p.answer[:])
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			if time.Since(begin) >= p.patience {
				return fmt.Errorf("the partner process, %d, did not answer within %v", p.process.Pid, p.patience)
			}
			continue
		case errno != 0:
			return fmt.Errorf("read the partner process's answer: %w", errno)
		case n == 0:
			return p.gone()
		}
		asked, result := binary.NativeEndian.Uint32(p.answer[:]), unix.Errno(binary.NativeEndian.Uint32(p.answer[4:]))
		switch {
		case n != len(p.answer) || asked != p.asked:
			return fmt.Errorf("the partner process, %d, answered %x to command %d", p.process.Pid, p.answer[:n], p.asked)
		case result != 0:
			return fmt.Errorf("the partner process, %d: %w", p.process.Pid, result)
		}
		return nil
	}
}

// gone is the error where nobody is at the other end of a pipe any more.
func (p *partner) gone() error {
	p.end()
	return fmt.Errorf("the partner process, %d, ended: %v", p.process.Pid, p.ended)
}

// end ends the process, where it has not ended by itself, and waits for it, so
// that no zombie stays.
func (p *partner) end() {
	if p.process == nil || p.ended != nil {
		return
	}
	_ = p.process.Kill() // without effect where it has ended
	p.ended, _ = p.process.Wait()
}

// close ends the process; whatever it holds goes with it.
func (p *partner) close() {
	p.end()
	unix.Close(p.commands)
	unix.Close(p.answers)
}

// servePartner is the other process: it says that it is there, then does what it
// is told until nobody is left to tell it. It makes raw system calls: with
// others the runtime would hand its work to further threads, which would wake up
// beside a trial.
func servePartner(commands, answers int) {
	var command [commandSize]byte
	var answer [answerSize]byte
	reply := func(n uint32, errno unix.Errno) {
		binary.NativeEndian.PutUint32(answer[:], n)
		binary.NativeEndian.PutUint32(answer[4:], uint32(errno))
		unix.RawSyscall(unix.SYS_WRITE, uintptr(answers), uintptr(unsafe.Pointer(&answer)), uintptr(len(answer)))
	}
	reply(0, 0)
	var held []int
	for asked := uint32(1); ; asked++ {
		n, errno := rawRead(commands, command[:])
		for errno == unix.EINTR {
			n, errno = rawRead(commands, command[:])
		}
		if errno != 0 || n == 0 {
			return
		}
		switch about := command[1:n]; command[0] {
		case holdCommand:
			held, errno = holdAsOrdered(held, about)
		case releaseCommand:
			if errno = unix.EBADF; len(held) > 0 {
				errno = 0
			}
			held = release(held)
		case churnCommand:
			errno = churnAsOrdered(about)
		default:
			errno = unix.EINVAL
		}
		reply(asked, errno)
	}
}

// readOrder takes the numbers from the front of what a command is about, and
// opens the directory behind them.
func readOrder(about []byte, numbers []uint64) (dirfd int, errno unix.Errno) {
	if len(about) < 8*len(numbers)+2 {
		return -1, unix.EINVAL
	}
	for i := range numbers {
		numbers[i] = binary.NativeEndian.Uint64(about[8*i:])
	}
	return rawOpen(about[8*len(numbers):], unix.O_RDONLY|unix.O_DIRECTORY)
}

// holdAsOrdered does a holdCommand: it opens all victims or none.
func holdAsOrdered(held []int, about []byte) ([]int, unix.Errno) {
	if len(held) > 0 {
		return held, unix.EBUSY
	}
	var o holdOrder
	dirfd, errno := readOrder(about, o[:])
	if errno != 0 {
		return held, errno
	}
	defer unix.RawSyscall(unix.SYS_CLOSE, uintptr(dirfd), 0, 0)
	v := victim{dirfd: dirfd}
	for n := range o[1] {
		v.set(0, int(o[0]+n))
		fd, errno := v.openFlags(unix.O_WRONLY)
		if errno != 0 {
			return release(held), errno
		}
		held = append(held, fd)
	}
	return held, 0
}

func release(held []int) []int {
	for _, fd := range held {
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	}
	return held[:0]
}

// churnAsOrdered does a churnCommand.
func churnAsOrdered(about []byte) unix.Errno {
	var o churnOrder
	dirfd, errno := readOrder(about, o[:])
	if errno != 0 {
		return errno
	}
	defer unix.RawSyscall(unix.SYS_CLOSE, uintptr(dirfd), 0, 0)
	c := churn{first: int(o[2]), names: int(o[3]), batch: o[4] == 1}
	return c.delete(dirfd, o[0], int(o[1]))
}

// rawOpen opens a NUL-terminated path; the descriptor is -1 where it cannot.
func rawOpen(path []byte, flags uintptr) (int, unix.Errno) {
	here := unix.AT_FDCWD
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(here), uintptr(unsafe.Pointer(&path[0])), flags|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), 0
}
