// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Result says what Do did.
type Result string

// The results of Do.
const (
	// Unmodified: the object already was what we want; no request was made.
	Unmodified Result = "unmodified"
	// Applied: the object was created or changed.
	Applied Result = "applied"
	// Repaired: beyond applying, entries that others had added were removed.
	Repaired Result = "repaired"
	// NoOp: the object looked changed but applying changed nothing. It happens once per object and content;
	// a converged fleet never shows it.
	NoOp Result = "noop"
)

// maxRounds bounds how often one Do repairs and applies again.
const maxRounds = 2

// Applier writes objects and remembers which writes turned out to change nothing.
type Applier struct {
	client client.Client
	reader client.Reader
	types  converter
	memo   *memo
}

// New makes an Applier that writes through c and, before it creates, reads through reader, which must not be a cache.
func New(c client.Client, reader client.Reader) *Applier {
	return &Applier{
		client: c,
		reader: reader,
		types:  newConverter(c.Scheme()),
		memo:   newMemo(),
	}
}

// ConflictError says that an object that we need belongs to somebody else. It was left alone.
type ConflictError struct {
	// Kind, Namespace and Name of the object.
	Kind, Namespace, Name string
	// Labels that would make it ours.
	Labels map[string]string
}

// Error names the object and the way out. A claim may hold the only copy of somebody's data: nobody is told to delete
// it.
func (e *ConflictError) Error() string {
	where := e.Name
	if e.Namespace != "" {
		where = e.Namespace + "/" + e.Name
	}
	if e.Kind == "PersistentVolumeClaim" {
		return fmt.Sprintf("PersistentVolumeClaim %s exists and is not marked as this instance's: it is left alone; do NOT delete it, it may hold data; if it is this instance's, brought back by hand, run: kubectl label pvc --namespace %s %s %s=%s %s=%s --overwrite",
			where, e.Namespace, e.Name, v1alpha1.LabelTenant, e.Labels[v1alpha1.LabelTenant], v1alpha1.LabelInstance, e.Labels[v1alpha1.LabelInstance])
	}
	return fmt.Sprintf("%s %s exists and was not made by Freehold for this instance: it is left alone; move it away or delete it, and Freehold makes its own", e.Kind, where)
}

// TerminatingError says that an object of ours is being deleted: its successor has to wait.
type TerminatingError struct {
	// Kind, Namespace and Name of the object.
	Kind, Namespace, Name string
}

// Error names the object.
func (e *TerminatingError) Error() string {
	return fmt.Sprintf("%s %s/%s is being deleted; it is made again once it is gone", e.Kind, e.Namespace, e.Name)
}

// Option changes how Do treats one object.
type Option func(*options)

type options struct{ adopt bool }

// Adopting lets Do take over an object that we have not applied before. The caller has checked that it may.
func Adopting() Option { return func(o *options) { o.adopt = true } }

// Do makes one object equal to want. live is the cached object, nil if the cache does not have it.
func Do[O client.Object, A Configuration](ctx context.Context, a *Applier, kind Kind[O, A], live O, want A, opts ...Option) (Result, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	raw, err := json.Marshal(want)
	if err != nil {
		return "", fmt.Errorf("encoding %s: %w", nameOf(want), err)
	}
	if isNil(live) {
		if live, err = find(ctx, a, kind, want); err != nil {
			return "", err
		}
	}
	if isNil(live) {
		_, err := send(ctx, a, kind, want, raw)
		return Applied, err
	}
	if err := mayApply(a, live, raw, o.adopt); err != nil {
		return "", err
	}
	unchanged, err := Unchanged(kind, live, want)
	if err != nil {
		return "", err
	}
	if unchanged || a.memo.knows(live, raw) {
		return Unmodified, nil
	}
	return converge(ctx, a, kind, live, want, raw)
}

// find reads an object that the cache does not have; nil if the API server has none either.
func find[O client.Object, A Configuration](ctx context.Context, a *Applier, kind Kind[O, A], want A) (O, error) {
	live := kind.New()
	err := a.reader.Get(ctx, keyOf(want), live)
	if apierrors.IsNotFound(err) {
		var none O
		return none, nil
	}
	if err != nil {
		return live, fmt.Errorf("looking whether %s exists: %w", nameOf(want), err)
	}
	return live, nil
}

// mayApply refuses objects that are not ours and objects that are going away.
func mayApply(a *Applier, live client.Object, raw []byte, adopt bool) error {
	gvk, err := a.client.GroupVersionKindFor(live)
	if err != nil {
		return err
	}
	if live.GetDeletionTimestamp() != nil {
		return &TerminatingError{Kind: gvk.Kind, Namespace: live.GetNamespace(), Name: live.GetName()}
	}
	labels := wantedLabels(raw)
	if adopt || AppliedByUs(live) || carriesInstance(live, labels) {
		return nil
	}
	return &ConflictError{Kind: gvk.Kind, Namespace: live.GetNamespace(), Name: live.GetName(), Labels: labels}
}

// carriesInstance reports whether live carries the same instance label as the wanted object: then it is ours even
// if its managed fields were wiped.
func carriesInstance(live client.Object, labels map[string]string) bool {
	instance := labels[v1alpha1.LabelInstance]
	return instance != "" && live.GetLabels()[v1alpha1.LabelInstance] == instance
}

// wantedLabels are the labels of a wanted object.
func wantedLabels(raw []byte) map[string]string {
	var want struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if json.Unmarshal(raw, &want) != nil {
		return nil
	}
	return want.Metadata.Labels
}

// converge applies, and repairs what applying alone cannot.
func converge[O client.Object, A Configuration](ctx context.Context, a *Applier, kind Kind[O, A], live O, want A, raw []byte) (Result, error) {
	answer, extra, err := attempt(ctx, a, kind, live, want, raw)
	if err != nil {
		return "", err
	}
	if extra.Empty() {
		if answer.GetResourceVersion() == live.GetResourceVersion() {
			a.memo.remember(answer, raw)
			return NoOp, nil
		}
		return Applied, nil
	}
	for range maxRounds {
		if err := repair(ctx, a, answer, extra, raw); err != nil {
			return "", err
		}
		if answer, extra, err = attempt(ctx, a, kind, answer, want, raw); err != nil {
			return "", err
		}
		if extra.Empty() {
			return Repaired, nil
		}
	}
	return "", fmt.Errorf("%s holds fields that somebody else sets again and again and that do not belong there: %s", nameOf(want), extra)
}

// attempt applies once and says what then is still foreign in the answer. Where the server refuses because a changed
// merge key leaves two entries, the answer is live itself with what the repair has to remove.
func attempt[O client.Object, A Configuration](ctx context.Context, a *Applier, kind Kind[O, A], live O, want A, raw []byte) (O, *fieldpath.Set, error) {
	answer, refused := send(ctx, a, kind, want, raw)
	if refused != nil && !apierrors.IsInvalid(refused) {
		return answer, nil, refused
	}
	if refused != nil {
		answer = live
	}
	extra, err := foreign(kind, answer)
	if err == nil && extra.Empty() {
		err = refused
	}
	return answer, extra, err
}

// send is one forced apply. It is a raw patch instead of client.Apply because the answer is needed as an object
// with its managed fields; client.Apply decodes it over the configuration that it was given.
func send[O client.Object, A Configuration](ctx context.Context, a *Applier, kind Kind[O, A], want A, raw []byte) (O, error) {
	answer := kind.New()
	key := keyOf(want)
	answer.SetName(key.Name)
	answer.SetNamespace(key.Namespace)
	err := a.client.Patch(ctx, answer, client.RawPatch(types.ApplyPatchType, raw), client.FieldOwner(meta.FieldOwner), client.ForceOwnership)
	if err != nil {
		return answer, fmt.Errorf("applying %s: %w", nameOf(want), err)
	}
	return answer, nil
}

func keyOf(want Configuration) types.NamespacedName {
	return types.NamespacedName{Namespace: ptr.Deref(want.GetNamespace(), ""), Name: ptr.Deref(want.GetName(), "")}
}

func nameOf(want Configuration) string {
	kind := "object"
	if k, ok := want.(interface{ GetKind() *string }); ok {
		kind = ptr.Deref(k.GetKind(), kind)
	}
	return kind + " " + keyOf(want).String()
}
