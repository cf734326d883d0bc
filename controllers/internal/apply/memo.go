// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"crypto/sha256"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// memo remembers applies that changed nothing, by object, version and content. It bounds every wrong "changed"
// (a mutating webhook that rewrites a value, say) to one request per object and start of the operator.
type memo struct {
	mu    sync.Mutex
	known map[types.UID]applied
}

type applied struct {
	resourceVersion string
	content         [sha256.Size]byte
}

func newMemo() *memo { return &memo{known: map[types.UID]applied{}} }

func (m *memo) knows(live client.Object, raw []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, ok := m.known[live.GetUID()]
	return ok && last == applied{live.GetResourceVersion(), sha256.Sum256(raw)}
}

func (m *memo) remember(live client.Object, raw []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[live.GetUID()] = applied{live.GetResourceVersion(), sha256.Sum256(raw)}
}
