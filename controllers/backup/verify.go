// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// proofWish is the verification that is due, if the fleet has room for it; nil if none.
func (r *Reconciler) proofWish(ctx context.Context, s *scope) (*wish, error) {
	if s.stoppedFor() != "" || !archives(&s.observed.database.Spec.Template) || s.verifies() {
		return nil, nil
	}
	policy := s.observed.policy.Spec.Verification
	name, due := nextProof(s.proofs(), policy, s.instanceID, s.now)
	if name == "" {
		return nil, nil
	}
	if due.After(s.now) {
		s.comeBack(due.Sub(s.now))
		return nil, nil
	}
	if room, err := r.roomToVerify(ctx, s); err != nil || !room {
		s.comeBack(time.Minute)
		return nil, err
	}
	t, err := r.proofTask(s, s.destination(name), s.until(s.destination(name)))
	return &wish{name: jobName(engine.JobVerify, name, occasion(s.destination(name).provenBoth(s.backsUpFilesTo(s.destination(name))))), task: t}, err
}

// proofTask is a verification of a destination, to some minute of what it holds until a moment.
func (r *Reconciler) proofTask(s *scope, d *destination, until time.Time) (task, error) {
	history, err := parseLineage(s.observed.namespace.Annotations)
	if err != nil {
		return task{}, err
	}
	options := engine.VerifyOptions{
		Destination: d.name, Generation: d.status.Generation, Target: target(timeIn(d.status.RecoverableFrom), until, r.options.Random),
		Assertions: s.observed.policy.Spec.Verification.Assertions, Database: s.observed.databaseName,
	}
	options.Timeline = history.at(options.Target)
	if s.report != nil {
		options.SystemIdentifier = s.report.SystemIdentifier
	}
	args, err := options.Args()
	return task{kind: engine.JobVerify, destination: d.name, generation: d.status.Generation, secret: meta.BackupSecret, args: args, files: s.filesProof(d, options.Target, history)}, err
}

// filesProof is the half of a verification that is the application's; nil if there is nothing to prove.
func (s *scope) filesProof(d *destination, target time.Time, history lineage) *files {
	if !s.backsUpFilesTo(d) || !d.filesStatus().any() {
		return nil
	}
	options := engine.FilesVerifyOptions{FilesSource: engine.FilesSource{Destination: d.name, Generation: d.status.Generation, InstanceID: s.instanceID, Target: target, Without: history.without(target)}}
	return &files{args: options.Args(), secret: meta.BackupFilesSecret, throwaway: true}
}

// proofs are the destinations that can be verified.
func (s *scope) proofs() []proof {
	// What is no time asks for nothing.
	asked, _ := time.Parse(time.RFC3339, s.tenant.Annotations[v1alpha1.AnnotationProveBackupsSince])
	var all []proof
	for _, d := range s.destinations {
		if d.usable() && !d.aside.torn() && d.uprooted.IsZero() {
			asked := latest(asked, s.holdsUpDestruction(d))
			all = append(all, proof{name: d.name, full: ptr.Deref(d.status.FullBackups, 0) > 0, verified: d.provenBoth(s.backsUpFilesTo(d)), unproven: s.unproven(d), asked: asked})
		}
	}
	return all
}

// holdsUpDestruction is since when a proof of a destination is wanted for a retired generation that has expired; zero if none is.
func (s *scope) holdsUpDestruction(d *destination) (since time.Time) {
	for _, old := range d.generations.Retired {
		if !old.destroyedAt(s.observed.policy.Spec.Retention).After(s.now) {
			since = latest(since, old.Since)
		}
	}
	return since
}

// unproven is the last verification that proved nothing. After a restart of the operator the condition tells.
func (s *scope) unproven(d *destination) attempt {
	last := s.memory.unproven[d.name]
	c := apimeta.FindStatusCondition(d.status.Conditions, v1alpha1.ConditionRecoverable)
	if last.at.IsZero() && c != nil && c.Reason == v1alpha1.ReasonVerificationFailed {
		last = attempt{at: c.LastTransitionTime.Time, refuted: true}
		if proven := d.provenBoth(s.backsUpFilesTo(d)); !last.at.After(proven) {
			last.at = proven.Add(time.Second)
		}
	}
	return last
}

// verifies reports whether a verification of this Tenant is under way: one at a time fits into its quota.
func (s *scope) verifies() bool {
	for _, job := range s.observed.jobs {
		if job.Labels[v1alpha1.LabelBackupJob] == engine.JobVerify {
			return true // Also one that has ended: it is removed with its volume first.
		}
	}
	return false
}

// roomToVerify counts the verifications of the whole fleet, and keeps a place for this Tenant's.
func (r *Reconciler) roomToVerify(ctx context.Context, s *scope) (bool, error) {
	var jobs batchv1.JobList
	err := r.client.List(ctx, &jobs, client.MatchingLabels{v1alpha1.LabelBackupJob: engine.JobVerify}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return false, fmt.Errorf("counting the verifications under way: %w", err)
	}
	active := map[string]bool{}
	for i := range jobs.Items {
		if endOf(&jobs.Items[i]).IsZero() {
			active[jobs.Items[i].Labels[v1alpha1.LabelTenant]] = true
		}
	}
	return r.known.reserve(s.name, active, r.options.Verifications, s.now), nil
}
