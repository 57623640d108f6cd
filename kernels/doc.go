// Package kernels gets bootable kernels: from Debian's archive, packages, URLs,
// container registries, Go modules and files, or from a build. A source turns
// its part of the matrix into an [Image]; the cache keeps what was fetched or
// built, verified by hash.
package kernels
