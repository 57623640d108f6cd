package reports

import (
	"strings"

	"kqual/matrix"
)

// architectures lists those of the report's kernels; "" where there is one.
func (r *Report) architectures() string {
	var list []string
	for _, k := range r.Kernels {
		list = insert(list, k.Machine.Architecture())
	}
	if len(list) < 2 {
		return ""
	}
	return strings.Join(list, " and ")
}

// release is what the kernel calls itself, with its architecture where the
// report has several and the name does not say it.
func (r *Report) release(k matrix.KernelRun) string {
	text := release(k)
	if arch := k.Machine.Architecture(); r.architectures() != "" && !strings.Contains(text, arch) {
		text = strings.TrimSpace(text + " (" + arch + ")")
	}
	return text
}

// label is release, and that nothing vouches for the kernel, if so.
func (r *Report) label(k matrix.KernelRun) string {
	text := r.release(k)
	if k.Provenance.Unverified() != "" {
		text += " (" + matrix.DetailUnverified + ")"
	}
	return strings.TrimSpace(text)
}
