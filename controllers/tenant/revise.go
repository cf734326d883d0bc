// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// recall fills scope.running: the stored revision with the highest number, or one that is lost but that the workloads
// still show. If what runs cannot be told, it fills scope.lost instead: the walls are kept up all the same.
func (r *Reconciler) recall(ctx context.Context, s *scope) error {
	if s.observed.namespace != nil {
		if err := r.lookAgain(ctx, s); err != nil {
			return err
		}
	}
	shown := highestMark(s.observed.workloads()...)
	if shown.number > 0 {
		// What is done about a lost revision needs the right to work here, which may be lost with it.
		if err := r.admit(ctx, s); err != nil {
			return err
		}
	}
	s.highest = shown.number
	var newest *storedRevision
	if stored := storedRevisions(s.observed.revisions); len(stored) > 0 {
		newest = stored[len(stored)-1]
		s.highest = max(s.highest, newest.number)
	}
	running, err := r.runningRevision(ctx, s, newest, shown)
	if stalled := asStall(err); stalled != nil && stalled.reason == v1alpha1.ReasonRevisionLost {
		s.lost = stalled
		return nil
	}
	s.running = running
	return err
}

// runningRevision is the newest stored revision, or the one that the workloads show if that is newer; nil if there was
// none yet.
func (r *Reconciler) runningRevision(ctx context.Context, s *scope, newest *storedRevision, shown mark) (*storedRevision, error) {
	if shown.number > 0 && (newest == nil || shown.number > newest.number) {
		found, err := r.recover(ctx, s, shown)
		if err != nil {
			return nil, err
		}
		newest = found
	}
	if newest == nil {
		return nil, nil
	}
	if err := r.prove(ctx, s, newest, shown); err != nil {
		return nil, err
	}
	return newest, nil
}

// prove reads the running revision and makes sure that its content is what runs: by its own mark, or, if that was
// edited, by the one on the workloads; then its own is put right.
func (r *Reconciler) prove(ctx context.Context, s *scope, running *storedRevision, shown mark) error {
	problem := running.decode()
	if problem == nil {
		return nil
	}
	if running.content == nil || shown != (mark{number: running.number, hash: running.content.Hash()}) {
		return stall(v1alpha1.ReasonRevisionLost, "the running revision %s/%s cannot be read: %v; the workloads are left as they are; restore it from a backup", s.namespace, meta.RevisionName(running.number), problem)
	}
	object := running.object.DeepCopy()
	metav1.SetMetaDataAnnotation(&object.ObjectMeta, meta.AnnotationRevisionHash, shown.hash)
	if err := r.client.Patch(ctx, object, client.MergeFromWithOptions(running.object, client.MergeFromWithOptimisticLock{}), client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("marking ControllerRevision %s/%s with its hash again: %w", s.namespace, object.Name, err)
	}
	running.object, running.hash = object, shown.hash
	s.written = append(s.written, "ControllerRevision/"+object.Name)
	return nil
}

// recover brings a revision back that the cache does not have: it lost its labels, or it has to be rebuilt, from the
// workloads or by rendering it once more. The hash on the workloads proves that it is the same.
func (r *Reconciler) recover(ctx context.Context, s *scope, shown mark) (*storedRevision, error) {
	found, err := r.fetchRevision(ctx, s, shown.number)
	if err != nil || found != nil {
		return found, err
	}
	content, err := r.rebuild(ctx, s)
	if err != nil {
		return nil, err
	}
	if content == nil || content.Hash() != shown.hash {
		content = r.sameToday(s, shown.hash)
	}
	if content == nil {
		return nil, &stallError{reason: v1alpha1.ReasonRevisionLost, retry: conflictRetry, message: fmt.Sprintf(
			"revision %d (%s) runs, but its ControllerRevision is gone and the workloads are not complete enough to rebuild it: they are left as they are; restore ControllerRevision %s/%s from a backup",
			shown.number, shown.hash, s.namespace, meta.RevisionName(shown.number))}
	}
	s.announce("RevisionRebuilt", "the ControllerRevision of running revision %d was gone; it was rebuilt", shown.number)
	return r.createRevision(ctx, s, shown.number, content)
}

// sameToday is today's rendering if it is the revision with that hash; nil if it is another one, or none.
func (r *Reconciler) sameToday(s *scope, hash string) *render.Revision {
	today, err := render.NewRevision(r.renderInputs(s))
	if err != nil || today.Hash() != hash {
		return nil
	}
	return today
}

// fetchRevision reads a revision from the API server and gives it its labels back; nil if there is none.
func (r *Reconciler) fetchRevision(ctx context.Context, s *scope, number int64) (*storedRevision, error) {
	object := &appsv1.ControllerRevision{}
	key := types.NamespacedName{Namespace: s.namespace, Name: meta.RevisionName(number)}
	if err := r.api.Get(ctx, key, object); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading ControllerRevision %s: %w", key, err)
	}
	if object.DeletionTimestamp != nil {
		return nil, &waitError{message: fmt.Sprintf("ControllerRevision %s is being deleted; it is made again once it is gone", key), retry: conflictRetry}
	}
	before := object.DeepCopy()
	object.Labels = meta.Labels(s.name, s.instanceID, "revision")
	object.Revision = number
	if err := r.client.Patch(ctx, object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(meta.FieldOwner)); err != nil {
		return nil, fmt.Errorf("giving ControllerRevision %s its labels back: %w", key, err)
	}
	return &storedRevision{number: number, hash: object.Annotations[meta.AnnotationRevisionHash], object: object}, nil
}

// createRevision stores a revision. One that exists already under the number was made by an earlier pass that the
// cache does not show yet: then that one counts.
func (r *Reconciler) createRevision(ctx context.Context, s *scope, number int64, content *render.Revision) (*storedRevision, error) {
	raw, err := content.Encode()
	if err != nil {
		return nil, err
	}
	hash := content.Hash()
	object := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: meta.RevisionName(number), Namespace: s.namespace,
			Labels:      meta.Labels(s.name, s.instanceID, "revision"),
			Annotations: map[string]string{meta.AnnotationRevisionHash: hash},
		},
		Data:     runtime.RawExtension{Raw: raw},
		Revision: number,
	}
	err = r.client.Create(ctx, object, client.FieldOwner(meta.FieldOwner))
	if apierrors.IsAlreadyExists(err) {
		existing, err := r.fetchRevision(ctx, s, number)
		if err == nil && existing == nil {
			err = fmt.Errorf("ControllerRevision %s/%s exists and does not exist", s.namespace, object.Name)
		}
		if err != nil {
			return nil, err
		}
		return existing, existing.decode()
	}
	if err != nil {
		return nil, fmt.Errorf("storing revision %d: %w", number, err)
	}
	s.written = append(s.written, "ControllerRevision/"+object.Name)
	return &storedRevision{number: number, hash: hash, content: content, object: object}, nil
}

// revise decides whether another revision runs from now on, and stores it. It fills scope.running and scope.update.
func (r *Reconciler) revise(ctx context.Context, s *scope) error {
	if s.moved != nil {
		s.update = &updateState{held: s.moved.message}
		return nil //nolint:nilerr // The stall is noted already; it holds updates, and stops nothing else.
	}
	today, err := render.NewRevision(s.inputs)
	if invalid := asStall(err); invalid != nil && s.running != nil {
		s.update = &updateState{held: invalid.message}
		s.failed(err)
		return nil // What runs is still what it was, and is kept so.
	}
	if err != nil {
		return err
	}
	if s.lost != nil {
		return r.replaceLost(ctx, s, today)
	}
	next, state := decideUpdate(updateFactsOf(s, today))
	content, err := contentOf(next, today)
	if err != nil {
		return err
	}
	if content != nil {
		if err := r.promote(ctx, s, content); err != nil {
			return err
		}
	}
	s.update = &state
	if state.pending != "" {
		s.update.changes = describeChanges(s.running.content, today)
	}
	return nil
}

// replaceLost runs today's rendering in place of a revision that is lost, if a person approves that; else the workloads
// are left as they are.
func (r *Reconciler) replaceLost(ctx context.Context, s *scope, today *render.Revision) error {
	hash := today.Hash()
	if s.keysLost || s.tenant.Annotations[v1alpha1.AnnotationApproveUpdate] != hash {
		s.lost.message += "; or run what today's class makes instead: " + approvalCommand(s.name, hash)
		s.failed(s.lost)
		return nil // The stall is noted; it holds the workloads, and nothing else.
	}
	if err := r.promote(ctx, s, today); err != nil {
		return err
	}
	s.lost, s.update = nil, &updateState{}
	return nil
}

// updateFactsOf are what decides which revision runs next. Without its keys an instance changes nothing: another
// revision's pods might wait for values that cannot be made. An approval then counts later.
func updateFactsOf(s *scope, today *render.Revision) updateFacts {
	facts := updateFacts{running: s.running, stored: storedRevisions(s.observed.revisions), today: today.Hash()}
	if !s.keysLost {
		facts.approval = s.tenant.Annotations[v1alpha1.AnnotationApproveUpdate]
	}
	if facts.running != nil && facts.approval != "" && facts.approval != facts.running.hash {
		rehash(facts.stored)
	}
	return facts
}

// contentOf is the content of the revision to create; nil if none is.
func contentOf(next nextRevision, today *render.Revision) (*render.Revision, error) {
	if next.today {
		return today, nil
	}
	if next.older == nil {
		return nil, nil
	}
	if err := next.older.decode(); err != nil {
		return nil, stall(v1alpha1.ReasonRevisionLost, "the approved revision %s cannot be read: %v", next.older.hash, err)
	}
	return next.older.content, nil
}

// promote makes a content the running revision.
func (r *Reconciler) promote(ctx context.Context, s *scope, content *render.Revision) error {
	made, err := r.createRevision(ctx, s, s.highest+1, content)
	if err != nil {
		return err
	}
	switch {
	case s.running != nil:
		s.announce("RevisionPromoted", "revision %d (%s) takes over from revision %d (%s): %s", made.number, made.hash, s.running.number, s.running.hash, describeChanges(s.running.content, made.content))
	case s.lost != nil:
		s.announce("RevisionPromoted", "revision %d (%s) takes the place of revision %d, which is lost", made.number, made.hash, s.highest)
	}
	s.running, s.highest = made, made.number
	return nil
}
