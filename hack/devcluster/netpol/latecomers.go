// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// lateness is how long weak mode does not know a new pod.
const lateness = 2 * time.Second

// latecomers holds back new pods for weak mode. The zero value is ready to use.
// The pods of its first call are not new: a restarted enforcer must not open the
// cluster.
type latecomers struct {
	since map[sandbox]time.Time
}

// sandbox identifies a pod together with its address: a pod whose sandbox was
// made again is programmed late again.
type sandbox struct {
	uid types.UID
	ip  netip.Addr
}

// known gives the pods that may be programmed at the time now, and how long it
// takes until the next one may; zero means that nobody waits.
func (l *latecomers) known(now time.Time, pods []Pod) (known []Pod, next time.Duration) {
	first := l.since == nil
	since := make(map[sandbox]time.Time, len(pods))
	for _, pod := range pods {
		key := sandbox{pod.UID, pod.IP}
		seen, ok := l.since[key]
		switch {
		case first: // the zero time: long ago
		case !ok:
			seen = now
		}
		since[key] = seen
		wait := lateness - now.Sub(seen)
		if wait <= 0 {
			known = append(known, pod)
		} else if next == 0 || wait < next {
			next = wait
		}
	}
	l.since = since
	return known, next
}
