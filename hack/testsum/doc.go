// SPDX-License-Identifier: Apache-2.0

// Command testsum reads the output of `go test -json`, or the report of Ginkgo's own program, and says what really ran.
//
//	go test -json ./... | go run ./hack/testsum [-stream] [-closing FILE]
//	ginkgo --json-report=FILE ...; go run ./hack/testsum -stories FILE [-closing FILE]
//
// It prints the closing line of every package and of every Ginkgo suite as they arrive, the full output of
// each test that failed, and at the end one line "N passed, N failed, N skipped". `go test` counts a Ginkgo
// suite as one test however many specs it has; testsum counts its specs instead. A test with subtests counts
// as its subtests. A package that fails without a failing test (it does not compile, it panics, it runs out
// of time) counts as one failure.
//
// Of a report it also names the slowest stories, and everything that failed, also what stands around the stories.
//
// The exit code is 0 only if at least one test passed and none failed. Because a pipe hides the exit code of
// `go test`, callers set -o pipefail as well.
package main
