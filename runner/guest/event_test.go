package guest

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// fanotifyRecord builds an event as the kernel lays it out (fanotify(7)).
func fanotifyRecord(mask uint64, infos ...[]byte) []byte {
	var body []byte
	for _, i := range infos {
		body = append(body, i...)
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.FAN_EVENT_METADATA_LEN+len(body)))
	b = append(b, unix.FANOTIFY_METADATA_VERSION, 0)
	b = binary.NativeEndian.AppendUint16(b, unix.FAN_EVENT_METADATA_LEN)
	b = binary.NativeEndian.AppendUint64(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 0xffffffff) // FAN_NOFD
	b = binary.NativeEndian.AppendUint32(b, 1)
	return append(b, body...)
}

func fidRecord(kind byte, handle []byte, name string) []byte {
	payload := make([]byte, 8) // fsid
	payload = binary.NativeEndian.AppendUint32(payload, uint32(len(handle)))
	payload = binary.NativeEndian.AppendUint32(payload, 1)
	payload = append(payload, handle...)
	if name != "" {
		payload = append(payload, name...)
		payload = append(payload, 0)
	}
	for len(payload)%4 != 0 {
		payload = append(payload, 0)
	}
	return append(binary.NativeEndian.AppendUint16([]byte{kind, 0}, uint16(4+len(payload))), payload...)
}

func TestFanotifyEventsGiveNameAndTargetHandle(t *testing.T) {
	buf := fanotifyRecord(unix.FAN_DELETE,
		fidRecord(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, []byte("dir-hndl"), "v17"),
		fidRecord(unix.FAN_EVENT_INFO_TYPE_FID, []byte("filehndl"), ""))
	buf = append(buf, fanotifyRecord(unix.FAN_Q_OVERFLOW)...)
	var ev event
	g := &fanotifyGroup{}
	rest := g.next(buf, &ev)
	if string(ev.name) != "v17" || string(ev.handle) != "filehndl" || ev.handleType != 1 || ev.mask != unix.FAN_DELETE {
		t.Errorf("got name %q, handle %q of type %d, mask %#x", ev.name, ev.handle, ev.handleType, ev.mask)
	}
	rest = g.next(rest, &ev)
	if ev.mask&queueOverflow == 0 || ev.name != nil || ev.handle != nil {
		t.Errorf("the overflow event came as %+v", ev)
	}
	if rest = g.next(rest, &ev); rest != nil {
		t.Errorf("%d bytes are left", len(rest))
	}
}

func TestInotifyEventsGiveTheName(t *testing.T) {
	b := make([]byte, unix.SizeofInotifyEvent, 32)
	binary.NativeEndian.PutUint32(b[4:], unix.IN_DELETE)
	binary.NativeEndian.PutUint32(b[12:], 16)
	b = append(b, "v17\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	var ev event
	g := &inotifyGroup{}
	rest := g.next(b, &ev)
	if string(ev.name) != "v17" || ev.mask != unix.IN_DELETE || len(rest) != 0 {
		t.Errorf("got %+v and %d bytes more", ev, len(rest))
	}
	if g.next(b[:20], &ev) != nil {
		t.Error("a cut-off event was taken")
	}
}

func FuzzFanotifyNext(f *testing.F) {
	f.Add(fanotifyRecord(unix.FAN_DELETE, fidRecord(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, []byte("12345678"), "name")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= unix.FAN_EVENT_METADATA_LEN {
			binary.NativeEndian.PutUint32(data[16:], 0xffffffff) // never a descriptor of this process
		}
		g := &fanotifyGroup{}
		var ev event
		if rest := g.next(data, &ev); rest != nil && len(rest) >= len(data) {
			t.Fatal("nothing was consumed")
		}
	})
}

func TestEveryRegisteredThingIsDescribed(t *testing.T) {
	for name, s := range EventSources() {
		if s.Name != name || s.Doc == "" || len(s.Groups) == 0 {
			t.Errorf("event source %q: %+v", name, s)
		}
		plain := s.Plain()
		if !s.IsPlain(plain) || plain.Source != name {
			t.Errorf("the plain watch of %s is not plain: %+v", name, plain)
		}
		if wrong := s.Validate(plain); len(wrong) > 0 {
			t.Errorf("the plain watch of %s is invalid: %v", name, wrong)
		}
	}
	for name, c := range Checks() {
		if c.Name != name || c.Doc == "" {
			t.Errorf("check %q: %+v", name, c)
		}
	}
	for name, s := range Scenarios() {
		if s.Name != name || s.Doc == "" || len(s.Events) == 0 {
			t.Errorf("scenario %q: %+v", name, s)
		}
		for source := range s.Events {
			if eventSources[source] == nil {
				t.Errorf("scenario %q has events of %q, which is no event source", name, source)
			}
		}
	}
	for name, f := range Filesystems() {
		if f.Name != name || f.Doc == "" {
			t.Errorf("filesystem %q: %+v", name, f)
		}
	}
}

func TestTargetFIDNeedsEventsThatCarryIt(t *testing.T) {
	validate := checks["target_fid"].Validate
	with := matrix.Watch{Source: "fanotify", Flags: map[string][]string{"init": {"FAN_REPORT_DFID_NAME_TARGET"}}}
	without := matrix.Watch{Source: "fanotify", Flags: map[string][]string{"init": {"FAN_REPORT_DFID_NAME"}}}
	if why := validate(with); why != "" {
		t.Error(why)
	}
	if validate(without) == "" || validate(matrix.Watch{Source: "inotify"}) == "" {
		t.Error("accepted without target handles")
	}
}
