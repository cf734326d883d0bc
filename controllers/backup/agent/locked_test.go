// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"testing"
)

func TestOnlyALockIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"the lock of another base backup":        {&exited{code: 50, output: "ERROR: [050]: unable to acquire lock on file"}, true},
		"the database's side holds the lock":     {&exited{code: 56, output: "WARN: unable to check pg1: [LockAcquireError] raised from remote-0 tls protocol\nERROR: [056]: unable to find primary cluster"}, true},
		"also inside of another error":           {fmt.Errorf("stanza-create: %w", &exited{code: 50}), true},
		"the database does not answer":           {&exited{code: 56, output: "WARN: unable to check pg1: [HostConnectError] connection refused"}, false},
		"a lock in the words of another failure": {&exited{code: 39, output: "[LockAcquireError]"}, false},
		"an error of our own":                    {errors.New("no such file"), false},
		"no error":                               {nil, false},
	} {
		if got := locked(c.err); got != c.want {
			t.Errorf("%s: locked is %t, want %t", name, got, c.want)
		}
	}
}
