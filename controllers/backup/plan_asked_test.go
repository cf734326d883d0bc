// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

func TestAProofThatIsAskedForDoesNotWaitForItsTurn(t *testing.T) {
	policy := v1alpha1.BackupVerification{IntervalDays: 7, MaximumAgeDays: 30}
	now := at(100)
	for name, c := range map[string]struct {
		proof proof
		now   bool
	}{
		"nobody asks":                      {proof{verified: at(0)}, false},
		"asked since it was proven":        {proof{verified: at(0), asked: at(1)}, true},
		"proven since it was asked":        {proof{verified: at(2), asked: at(1)}, false},
		"found wanting since it was asked": {proof{verified: at(0), unproven: attempt{at: at(2), refuted: true}, asked: at(1)}, false},
		"asked for later":                  {proof{verified: at(0), asked: at(101)}, false},
	} {
		c.proof.name, c.proof.full = "site-a", true
		_, due := nextProof([]proof{c.proof}, policy, "i-1", now)
		if got := !due.After(now); got != c.now {
			t.Errorf("%s: due at once is %t, want %t (%s)", name, got, c.now, due.Format(time.RFC3339))
		}
	}
}
