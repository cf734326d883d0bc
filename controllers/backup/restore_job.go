// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// annotationRestore on a Job names the Restore that it works for.
const annotationRestore = "freehold.dev/restore"

// restoreJob is the Job of the operation.
func (r *RestoreReconciler) restoreJob(ctx context.Context, s *restoreScope) (*batchv1.Job, error) {
	history, err := parseLineage(s.namespace.Annotations)
	if err != nil {
		return nil, err
	}
	w, err := r.workshop(ctx, s)
	if err != nil {
		return nil, err
	}
	t := task{
		kind: s.operation.kind, claim: s.operation.claim, secret: meta.BackupSecret,
		annotations: map[string]string{annotationRestore: s.restore.Name},
	}
	if s.operation.kind == engine.JobRevert {
		t.args = engine.RevertOptions{InstanceID: s.tenant.Status.InstanceID, TimelineAfter: history.highest()}.Args()
	} else {
		t.destination, t.generation, t.secret = string(s.restore.Status.Destination), s.restore.Status.Generation, s.secretOf(meta.BackupSecret)
		t.args = restoreOptions(s.restore.Spec.Target, history, engine.RestoreOptions{
			Destination: t.destination, Generation: t.generation, InstanceID: s.tenant.Status.InstanceID, Restore: string(s.restore.UID)}).Args()
	}
	return w.job(restoreJobName(s), t)
}

// workshop builds the Jobs of a Restore.
func (r *RestoreReconciler) workshop(ctx context.Context, s *restoreScope) (workshop, error) {
	database := &appsv1.StatefulSet{}
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: s.restore.Namespace, Name: meta.DatabaseStatefulSet}, database); err != nil {
		return workshop{}, fmt.Errorf("reading the database's StatefulSet: %w", err)
	}
	return workshop{tenant: s.tenant.Name, namespace: s.restore.Namespace, instanceID: s.tenant.Status.InstanceID,
		database: &database.Spec.Template, application: s.application}, nil
}

// restoreOptions say what to restore to, on which timeline that was, and which timelines must not be used again.
func restoreOptions(target v1alpha1.RestoreTarget, history lineage, options engine.RestoreOptions) engine.RestoreOptions {
	options.TimelineAfter = history.highest()
	switch {
	case target.Time != nil:
		options.Target, options.Timeline = target.Time.Time, history.at(target.Time.Time)
	case target.Backup != "":
		options.Backup = string(target.Backup)
	default:
		options.Timeline = history.at(time.Time{})
	}
	return options
}
