// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func TestATenantIsBackedUpToEachDestinationFromTheBeginning(t *testing.T) {
	s := newStage(t, "first")
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("False AwaitingFirst"))
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeTrue(), "the first backup is the operator's")
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty(), "Kubernetes may just be making one")

	s.after(settleTime)
	job := s.theJob(engine.JobBackup, "site-a")
	s.Expect(job.Spec.Template.Labels).To(HaveKeyWithValue(v1alpha1.LabelPolicy, meta.ComponentBackup))
	s.Expect(argument(job, "destination")).To(Equal("site-a"))
	s.end(job, s.backedUp("site-a", 1))
	s.passes()
	s.Expect(*s.cronJob("site-b").Spec.Suspend).To(BeTrue())
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("False AwaitingFirst: site-b"), "the whole is as good as its worst part")
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))

	s.end(s.theJob(engine.JobBackup, "site-b"), s.backedUp("site-b", 1))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
	s.after(time.Minute)
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True Fresh"))
}
