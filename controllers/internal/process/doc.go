// SPDX-License-Identifier: Apache-2.0

// Package process starts the children of a container's first process and buries the orphans that the kernel
// hands to it.
//
// Use one Children per process, and start every child through it: a child started beside it is taken for an
// orphan, and its exit status is lost. Reap may only run where the whole process tree is ours, that is as PID 1.
package process
