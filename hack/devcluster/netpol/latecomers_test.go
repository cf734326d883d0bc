// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"testing"
	"time"
)

func TestLatecomers(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	pods := worldState().Pods
	var l latecomers

	expect := func(when string, at time.Duration, pods []Pod, wantKnown int, wantNext time.Duration) {
		t.Helper()
		known, next := l.known(start.Add(at), pods)
		if len(known) != wantKnown || next != wantNext {
			t.Errorf("%s: %d pods known, the next in %s; want %d in %s", when, len(known), next, wantKnown, wantNext)
		}
	}
	expect("the pods of the first look are not new", 0, pods[:1], 1, 0)
	expect("a new pod waits", time.Second, pods[:2], 1, lateness)
	expect("two wait, the older is due first", 2*time.Second, pods[:3], 1, time.Second)
	expect("the older is known", 3*time.Second, pods[:3], 2, time.Second)
	expect("all are known", 4*time.Second, pods[:3], 3, 0)

	moved := append(pods[:2:2], pods[2])
	moved[2].IP = addresses["client10"]
	expect("a pod with another address is new", 5*time.Second, moved, 2, lateness)
	expect("a pod that was gone is new", 6*time.Second, pods[:3], 2, lateness)
}
