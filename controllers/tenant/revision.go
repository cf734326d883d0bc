// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// revisionsKept is how many revisions can be rolled back to, the running one included.
const revisionsKept = 10

// storedRevision is a revision as it lies in the tenant's namespace.
type storedRevision struct {
	number int64
	hash   string
	// content is decoded only where it is needed; see decode.
	content *render.Revision
	object  *appsv1.ControllerRevision
}

// storedRevisions are the revisions that Freehold made, by number. StatefulSets have ControllerRevisions of their
// own beside them, with the labels of their pods.
func storedRevisions(observed map[string]*appsv1.ControllerRevision) []*storedRevision {
	var out []*storedRevision
	for _, object := range observed {
		if isRevision(object) {
			out = append(out, &storedRevision{number: object.Revision, hash: object.Annotations[meta.AnnotationRevisionHash], object: object})
		}
	}
	slices.SortFunc(out, func(a, b *storedRevision) int { return cmp.Compare(a.number, b.number) })
	return out
}

func isRevision(object *appsv1.ControllerRevision) bool {
	return metav1.GetControllerOfNoCopy(object) == nil && object.Name == meta.RevisionName(object.Revision) && object.DeletionTimestamp == nil
}

// read fills content. It does not look at how the revision is marked.
func (v *storedRevision) read() error {
	if v.content != nil {
		return nil
	}
	content, err := render.DecodeRevision(v.object.Data.Raw)
	if err != nil {
		return err
	}
	v.content = content
	return nil
}

// decode fills content, and refuses one that is not what the revision is marked as.
func (v *storedRevision) decode() error {
	if err := v.read(); err != nil {
		return err
	}
	if hash := v.content.Hash(); v.hash != hash {
		return fmt.Errorf("its content has the hash %s, but it is marked %q", hash, v.hash)
	}
	return nil
}

// rehash replaces the hashes that revisions are marked with by those of their content: the mark can be edited, the
// content cannot. One that cannot be read keeps its mark, so that whoever asks for it learns why it cannot be had.
func rehash(stored []*storedRevision) {
	for _, v := range stored {
		if v.read() == nil {
			v.hash = v.content.Hash()
		}
	}
}

// mark is what workloads say of the revision that they were built from.
type mark struct {
	number int64
	hash   string
}

// highestMark is the newest revision that any workload names; zero if none does.
func highestMark(objects ...metav1.Object) mark {
	var highest mark
	for _, object := range objects {
		number, err := strconv.ParseInt(object.GetAnnotations()[meta.AnnotationRevision], 10, 64)
		if err == nil && number > highest.number {
			highest = mark{number: number, hash: object.GetAnnotations()[meta.AnnotationRevisionHash]}
		}
	}
	return highest
}

// updateFacts are all that decides which revision runs next.
type updateFacts struct {
	// running is nil before the first.
	running *storedRevision
	// stored by number, running included.
	stored []*storedRevision
	// today is the hash of what today's Tenant, class and operator make.
	today string
	// approval is the value of the annotation; "" if there is none.
	approval string
}

// updateState says what today's rendering is beside what runs.
type updateState struct {
	// pending is the hash that waits for approval; "" if what runs is what would be made today.
	pending string
	// changes says from what to what.
	changes string
	// held says why nothing can be offered nor approved; "" if it can.
	held string
	// ignored is an approval that names nothing that could run next; "" if there is none.
	ignored string
}

// nextRevision is the content of the revision to create.
type nextRevision struct {
	// today asks for today's rendering, older for the content of that revision. Neither: nothing is created.
	today bool
	older *storedRevision
}

// decideUpdate says which revision to create, and what then still waits. The first needs no approval; every other
// one needs its hash named: today's, or that of an older one to go back to.
func decideUpdate(f updateFacts) (nextRevision, updateState) {
	if f.running == nil {
		return nextRevision{today: true}, updateState{}
	}
	var state updateState
	if f.today != f.running.hash {
		state.pending = f.today
	}
	switch f.approval {
	case "", f.running.hash:
		return nextRevision{}, state
	case state.pending:
		return nextRevision{today: true}, updateState{}
	}
	for _, older := range slices.Backward(f.stored) {
		if older.hash == f.approval {
			return nextRevision{older: older}, state
		}
	}
	state.ignored = f.approval
	return nextRevision{}, state
}

// surplus are the revisions beyond those that are kept: the oldest ones, never the running one.
func surplus(stored []*storedRevision, running int64) []*storedRevision {
	if len(stored) <= revisionsKept {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(stored[:len(stored)-revisionsKept]), func(v *storedRevision) bool { return v.number == running })
}

// describeChanges says from what to what an update would go.
func describeChanges(from, to *render.Revision) string {
	var changes []string
	before := map[string]string{}
	for _, component := range from.Components() {
		before[component.Name] = component.Image
	}
	for _, component := range to.Components() {
		if old := before[component.Name]; old != component.Image {
			changes = append(changes, fmt.Sprintf("%s image %s → %s", component.Name, old, component.Image))
		}
	}
	if len(changes) == 0 {
		return "the images stay, settings change"
	}
	return strings.Join(changes, ", ")
}

// approvalCommand is how a person approves an update.
func approvalCommand(tenant, hash string) string {
	return fmt.Sprintf("kubectl annotate tenant %s %s=%s --overwrite", tenant, v1alpha1.AnnotationApproveUpdate, hash)
}
