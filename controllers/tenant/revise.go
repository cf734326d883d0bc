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
// still show.
func (r *Reconciler) recall(ctx context.Context, s *scope) error {
	if s.observed.namespace != nil {
		if err := r.lookAgain(ctx, s); err != nil {
			return err
		}
	}
	stored := storedRevisions(s.observed.revisions)
	if len(stored) > 0 {
		s.running = stored[len(stored)-1]
	}
	shown := highestMark(s.observed.workloads()...)
	if shown.number > 0 {
		// What is done about a lost revision needs the right to work here, which may be lost with it.
		if err := r.admit(ctx, s); err != nil {
			return err
		}
	}
	if s.running == nil && shown.number > 0 || s.running != nil && shown.number > s.running.number {
		found, err := r.recover(ctx, s, shown)
		if err != nil {
			return err
		}
		s.running = found
	}
	if s.running == nil {
		return nil
	}
	return r.prove(ctx, s, shown)
}

// prove reads the running revision and makes sure that its content is what runs: by its own mark, or, if that was
// edited, by the one on the workloads; then its own is put right.
func (r *Reconciler) prove(ctx context.Context, s *scope, shown mark) error {
	running := s.running
	problem := running.decode()
	if problem == nil {
		return nil
	}
	if running.content == nil || shown != (mark{number: running.number, hash: running.content.Hash()}) {
		return stall(v1alpha1.ReasonRevisionLost, "the running revision %s/%s cannot be read: %v; the workloads are left as they are", s.namespace, meta.RevisionName(running.number), problem)
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
	if err != nil {
		return err
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
	number := int64(1)
	if s.running != nil {
		number = s.running.number + 1
	}
	made, err := r.createRevision(ctx, s, number, content)
	if err != nil {
		return err
	}
	if s.running != nil {
		s.announce("RevisionPromoted", "revision %d (%s) takes over from revision %d (%s): %s", made.number, made.hash, s.running.number, s.running.hash, describeChanges(s.running.content, made.content))
	}
	s.running = made
	return nil
}
