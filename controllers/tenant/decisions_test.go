// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

func namespace(labels map[string]string, ours bool) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tenant-acme", Labels: labels}}
	if ours {
		n.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: meta.FieldOwner, Operation: metav1.ManagedFieldsOperationApply}}
	}
	return n
}

func TestWhichInstanceATenantIs(t *testing.T) {
	mine := map[string]string{v1alpha1.LabelTenant: "acme", v1alpha1.LabelInstance: "i1"}
	kept := map[string]string{v1alpha1.LabelTenant: "acme", v1alpha1.LabelInstance: "i1", v1alpha1.LabelRetained: "true"}
	half := map[string]string{v1alpha1.LabelTenant: "acme"}
	going := namespace(mine, true)
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	used := namespace(half, false)
	used.Annotations = map[string]string{meta.AnnotationInitialized: "true"}
	for name, row := range map[string]struct {
		facts  identityFacts
		want   identity
		reason string // of Stalled; "" if an identity is found
	}{
		"no namespace: a new instance":                            {identityFacts{}, identity{}, ""},
		"no namespace, but one to adopt":                          {identityFacts{adopt: "i1"}, identity{}, v1alpha1.ReasonAdoptionMismatch},
		"a namespace that is going away":                          {identityFacts{namespace: going}, identity{wait: true}, ""},
		"a running instance":                                      {identityFacts{namespace: namespace(mine, true)}, identity{id: "i1"}, ""},
		"a running instance, named":                               {identityFacts{namespace: namespace(mine, true), adopt: "i1"}, identity{id: "i1"}, ""},
		"a running instance, another one named":                   {identityFacts{namespace: namespace(mine, true), adopt: "i2"}, identity{}, v1alpha1.ReasonAdoptionMismatch},
		"no namespace, but an instance ran there":                 {identityFacts{known: "i1"}, identity{}, v1alpha1.ReasonVolumeLost},
		"a running instance, labelled as another one":             {identityFacts{namespace: namespace(mine, true), known: "i2"}, identity{}, v1alpha1.ReasonConflict},
		"the running instance, another one to adopt":              {identityFacts{namespace: namespace(mine, true), known: "i1", adopt: "i2"}, identity{id: "i1", mismatch: true}, ""},
		"retained data, not named":                                {identityFacts{namespace: namespace(kept, true)}, identity{}, v1alpha1.ReasonRetainedDataExists},
		"retained data, not named, though the status knows it":    {identityFacts{namespace: namespace(kept, true), known: "i1"}, identity{}, v1alpha1.ReasonRetainedDataExists},
		"retained data, named":                                    {identityFacts{namespace: namespace(kept, true), adopt: "i1"}, identity{id: "i1", adopted: true}, ""},
		"retained data, another one named":                        {identityFacts{namespace: namespace(kept, true), adopt: "i2"}, identity{}, v1alpha1.ReasonAdoptionMismatch},
		"a stranger's namespace":                                  {identityFacts{namespace: namespace(nil, false)}, identity{}, v1alpha1.ReasonConflict},
		"another tenant's namespace":                              {identityFacts{namespace: namespace(map[string]string{v1alpha1.LabelTenant: "globex"}, true)}, identity{}, v1alpha1.ReasonConflict},
		"a namespace made for the Tenant":                         {identityFacts{namespace: namespace(half, false)}, identity{}, ""},
		"a namespace made for the Tenant, but one to adopt":       {identityFacts{namespace: namespace(half, false), adopt: "i1"}, identity{}, v1alpha1.ReasonAdoptionMismatch},
		"an instance label without the tenant's, foreign":         {identityFacts{namespace: namespace(map[string]string{v1alpha1.LabelInstance: "i1"}, false)}, identity{}, v1alpha1.ReasonConflict},
		"labels lost, objects tell, the status confirms":          {identityFacts{namespace: namespace(nil, true), evidence: []string{"i1"}, known: "i1"}, identity{id: "i1"}, ""},
		"labels lost, objects tell, nobody confirms":              {identityFacts{namespace: namespace(nil, true), evidence: []string{"i1"}}, identity{}, v1alpha1.ReasonRetainedDataExists},
		"labels lost, objects tell, adoption confirms":            {identityFacts{namespace: namespace(nil, true), evidence: []string{"i1"}, adopt: "i1"}, identity{id: "i1"}, ""},
		"labels lost, objects of two instances":                   {identityFacts{namespace: namespace(nil, true), evidence: []string{"i1", "i2"}, known: "i1"}, identity{}, v1alpha1.ReasonConflict},
		"labels lost, objects tell, but not our namespace":        {identityFacts{namespace: namespace(nil, false), evidence: []string{"i1"}, known: "i1"}, identity{}, v1alpha1.ReasonConflict},
		"only the instance label lost, the status confirms":       {identityFacts{namespace: namespace(half, true), evidence: []string{"i1"}, known: "i1"}, identity{id: "i1"}, ""},
		"only the instance label lost, nothing tells, but it ran": {identityFacts{namespace: used}, identity{}, v1alpha1.ReasonConflict},
	} {
		row.facts.tenant = "acme"
		got, err := decideIdentity(row.facts)
		reason := ""
		var stalled *stallError
		if errors.As(err, &stalled) {
			reason = stalled.reason
		}
		if got != row.want || reason != row.reason {
			t.Errorf("%s: got %+v %q, want %+v %q", name, got, reason, row.want, row.reason)
		}
	}
}

func TestWhichRevisionRunsNext(t *testing.T) {
	revision := func(number int64, hash string) *storedRevision { return &storedRevision{number: number, hash: hash} }
	first, second := revision(1, "aaa"), revision(2, "bbb")
	for name, row := range map[string]struct {
		facts updateFacts
		next  nextRevision
		state updateState
	}{
		"the first needs no approval":              {updateFacts{today: "aaa"}, nextRevision{today: true}, updateState{}},
		"nothing differs":                          {updateFacts{running: first, today: "aaa"}, nextRevision{}, updateState{}},
		"a difference waits":                       {updateFacts{running: first, today: "bbb"}, nextRevision{}, updateState{pending: "bbb"}},
		"the pending one is approved":              {updateFacts{running: first, today: "bbb", approval: "bbb"}, nextRevision{today: true}, updateState{}},
		"an approval of what runs already":         {updateFacts{running: first, today: "bbb", approval: "aaa"}, nextRevision{}, updateState{pending: "bbb"}},
		"an approval of something unknown":         {updateFacts{running: first, today: "bbb", approval: "zzz"}, nextRevision{}, updateState{pending: "bbb", ignored: "zzz"}},
		"an unknown approval while nothing waits":  {updateFacts{running: first, today: "aaa", approval: "zzz"}, nextRevision{}, updateState{ignored: "zzz"}},
		"back to an older one":                     {updateFacts{running: second, stored: []*storedRevision{first, second}, today: "bbb", approval: "aaa"}, nextRevision{older: first}, updateState{}},
		"back to an older one while another waits": {updateFacts{running: second, stored: []*storedRevision{first, second}, today: "ccc", approval: "aaa"}, nextRevision{older: first}, updateState{pending: "ccc"}},
		"today's is the older one: today's is made": {updateFacts{running: second, stored: []*storedRevision{first, second}, today: "aaa", approval: "aaa"},
			nextRevision{today: true}, updateState{}},
	} {
		next, state := decideUpdate(row.facts)
		if next != row.next || state != row.state {
			t.Errorf("%s: got %+v %+v, want %+v %+v", name, next, state, row.next, row.state)
		}
	}
}

func TestTheRunningRevisionIsNeverSurplus(t *testing.T) {
	var stored []*storedRevision
	for i := range int64(12) {
		stored = append(stored, &storedRevision{number: i + 1})
	}
	if got := surplus(stored, 12); len(got) != 2 || got[0].number != 1 || got[1].number != 2 {
		t.Errorf("of twelve revisions the first two go, got %d", len(got))
	}
	if got := surplus(stored, 2); len(got) != 1 || got[0].number != 1 {
		t.Errorf("the running revision must stay, got %d to remove", len(got))
	}
	if got := surplus(stored[:10], 10); got != nil {
		t.Errorf("ten revisions are kept, got %d to remove", len(got))
	}
}

func TestStatefulSetsOwnRevisionsAreNotOurs(t *testing.T) {
	controller := true
	got := storedRevisions(map[string]*appsv1.ControllerRevision{
		"revision-0001": {ObjectMeta: metav1.ObjectMeta{Name: "revision-0001"}, Revision: 1},
		"db-5d8c":       {ObjectMeta: metav1.ObjectMeta{Name: "db-5d8c", OwnerReferences: []metav1.OwnerReference{{Controller: &controller}}}, Revision: 7},
		"mine":          {ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Revision: 9},
		"revision-0003": {ObjectMeta: metav1.ObjectMeta{Name: "revision-0003"}, Revision: 99},
	})
	if len(got) != 1 || got[0].number != 1 {
		t.Errorf("only revision-0001 is Freehold's, got %d revisions", len(got))
	}
}

func TestAuditsAreSpreadAndKeepTheirPace(t *testing.T) {
	const interval = 10 * time.Minute
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	perMinute := map[int]int{}
	for i := range 1000 {
		id := fmt.Sprintf("instance-%d", i)
		schedule := newAuditSchedule()
		if schedule.due(id, start, interval, false) {
			t.Fatalf("%s: an operator that was just started must not audit", id)
		}
		wait := schedule.wait(id, start)
		if wait <= 0 || wait > interval {
			t.Fatalf("%s: the first audit is after %s, want within %s", id, wait, interval)
		}
		perMinute[int(wait/time.Minute)]++
		at := start.Add(wait)
		if schedule.due(id, at.Add(-time.Second), interval, false) || !schedule.due(id, at, interval, false) {
			t.Fatalf("%s: the audit is due at %s, not before", id, at)
		}
		schedule.done(id, at, interval, finding{})
		if schedule.due(id, at, interval, false) || schedule.wait(id, at) != interval {
			t.Fatalf("%s: the next audit comes %s after one, got %s", id, interval, schedule.wait(id, at))
		}
	}
	for minute := range 10 {
		if n := perMinute[minute]; n < 50 || n > 150 {
			t.Errorf("%d of 1000 audits fall into minute %d: they are not spread", n, minute)
		}
	}
}

func TestACertificateFromOutsideIsLookedAtAtOnceAndThenMoreOften(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	schedule := newAuditSchedule()
	if !schedule.due("i1", now, externalAuditInterval, true) {
		t.Error("after a start nothing is known of it: it has to be looked at")
	}
	schedule = newAuditSchedule()
	schedule.due("i1", now, 10*time.Minute, false)
	schedule.due("i1", now, externalAuditInterval, true)
	if wait := schedule.wait("i1", now); wait > externalAuditInterval {
		t.Errorf("the source has become an outside one: the next look is after %s, want within %s", wait, externalAuditInterval)
	}
}

func TestTheOlderTenantKeepsItsHostname(t *testing.T) {
	made := func(name string, second int) v1alpha1.Tenant {
		return v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(second), 0))}}
	}
	old, young, twin := made("zeta", 1), made("acme", 2), made("beta", 1)
	if got := precedes([]v1alpha1.Tenant{old, young}, &young); got == nil || got.Name != "zeta" {
		t.Errorf("the older one comes first, got %v", got)
	}
	if got := precedes([]v1alpha1.Tenant{old, young}, &old); got != nil {
		t.Errorf("the older one must not lose to %s", got.Name)
	}
	if got := precedes([]v1alpha1.Tenant{old, twin}, &old); got == nil || got.Name != "beta" {
		t.Errorf("of two of the same second the name decides, got %v", got)
	}
	if got := precedes(nil, &young); got != nil {
		t.Errorf("alone, nobody precedes, got %s", got.Name)
	}
}

func TestAClaimThatHeldDataIsRemembered(t *testing.T) {
	n := namespace(nil, true)
	n.Annotations = map[string]string{meta.AnnotationBoundClaims: "app-0001, db-0002"}
	live := map[string]*corev1.PersistentVolumeClaim{
		"db-0001": {Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}},
		"db-0003": {Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}},
		"proof-x": {Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}, ObjectMeta: metav1.ObjectMeta{
			OwnerReferences: []metav1.OwnerReference{{Kind: "Pod", Name: "proof", Controller: ptr.To(true)}}}},
	}
	if got, want := boundClaims(n, live, "db-0001", false), []string{"app-0001", "db-0001", "db-0002"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := boundClaims(nil, nil, "db-0002", true), []string{"db-0002"}; !slices.Equal(got, want) {
		t.Errorf("an initialised database has a volume: got %v, want %v", got, want)
	}
	if got := boundClaims(nil, nil, "db-0001", false); len(got) != 0 {
		t.Errorf("a new instance has none, got %v", got)
	}
}

func TestWhichClaimTheDatabaseRunsOn(t *testing.T) {
	claims := func(names ...string) map[string]*corev1.PersistentVolumeClaim {
		made := map[string]*corev1.PersistentVolumeClaim{}
		for _, name := range names {
			made[name] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
		}
		return made
	}
	says := func(key, value string) *corev1.Namespace {
		n := namespace(nil, true)
		n.Annotations = map[string]string{key: value}
		return n
	}
	remembers := func(name string) map[string]*corev1.ConfigMap {
		return map[string]*corev1.ConfigMap{meta.InstanceConfigMap: {Data: map[string]string{meta.KeyDatabaseClaim: name}}}
	}
	mounts := func(name string) map[string]*appsv1.StatefulSet {
		set := &appsv1.StatefulSet{}
		set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "config"}, {Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}
		return map[string]*appsv1.StatefulSet{meta.DatabaseStatefulSet: set}
	}
	held := says(meta.AnnotationDatabaseClaim, "db-0002")
	held.Annotations[meta.AnnotationBoundClaims] = "db-0001,db-0002"
	for name, row := range map[string]struct {
		world observed
		want  string
	}{
		"nothing is known":                          {observed{}, "db-0001"},
		"the namespace names one":                   {observed{namespace: says(meta.AnnotationDatabaseClaim, "db-0002"), claims: claims("db-0001", "db-0002")}, "db-0002"},
		"the namespace wins":                        {observed{namespace: says(meta.AnnotationDatabaseClaim, "db-0001"), claims: claims("db-0001", "db-0002"), configMaps: remembers("db-0002"), statefulSets: mounts("db-0002")}, "db-0001"},
		"one that held data and is gone":            {observed{namespace: held, claims: claims("db-0001")}, "db-0002"},
		"one that never was":                        {observed{namespace: says(meta.AnnotationDatabaseClaim, "db-0009"), claims: claims("db-0001", "db-0002"), configMaps: remembers("db-0002")}, "db-0002"},
		"one that is no database's":                 {observed{namespace: says(meta.AnnotationDatabaseClaim, "app-0001"), claims: claims("db-0001", "app-0001")}, "db-0001"},
		"the annotation is lost":                    {observed{namespace: namespace(nil, true), claims: claims("db-0001", "db-0002"), configMaps: remembers("db-0002")}, "db-0002"},
		"annotation and memory are lost":            {observed{namespace: namespace(nil, true), claims: claims("db-0001", "db-0002"), statefulSets: mounts("db-0002")}, "db-0002"},
		"memory of one that never was":              {observed{namespace: namespace(nil, true), claims: claims("db-0001"), configMaps: remembers("db-0007"), statefulSets: mounts("db-0001")}, "db-0001"},
		"a StatefulSet that mounts something else":  {observed{claims: claims("db-0001"), statefulSets: mounts("somebody-elses")}, "db-0001"},
		"a restore is going on beside the database": {observed{namespace: says(meta.AnnotationRestoreClaim, "db-0002"), claims: claims("db-0001", "db-0002"), configMaps: remembers("db-0001")}, "db-0001"},
	} {
		if got := databaseVolumes.current(row.world); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func TestWhichClaimHoldsTheApplicationsData(t *testing.T) {
	o := observed{namespace: namespace(nil, true), claims: map[string]*corev1.PersistentVolumeClaim{"db-0002": {}, "app-0001": {}, "app-0002": {}}}
	for named, want := range map[string]string{"": "app-0001", "app-0002": "app-0002", "db-0002": "app-0001", "app-0003": "app-0001"} {
		o.namespace.Annotations = map[string]string{meta.AnnotationAppClaim: named, meta.AnnotationDatabaseClaim: "db-0002"}
		if got := appVolumes.current(o); got != want {
			t.Errorf("the namespace names %q: %s, want %s", named, got, want)
		}
	}
	o.namespace.Annotations = nil
	o.configMaps = map[string]*corev1.ConfigMap{meta.InstanceConfigMap: {Data: map[string]string{meta.KeyAppClaim: "app-0002", meta.KeyDatabaseClaim: "db-0002"}}}
	if got := appVolumes.current(o); got != "app-0002" {
		t.Errorf("the annotation is lost: %s", got)
	}
}

func TestWhichOtherClaimsStay(t *testing.T) {
	claim := func(instance string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelInstance: instance}}}
	}
	going := claim("i1")
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	o := observed{namespace: namespace(nil, true), claims: map[string]*corev1.PersistentVolumeClaim{
		"db-0001": claim("i1"), "db-0002": claim("i1"), "db-0003": claim("of-another"), "db-0004": going, "app-0001": claim("i1"), "db-1": claim("i1"),
	}}
	for asked, want := range map[string][]string{
		"":         {"db-0001"},
		"db-0005":  {"db-0001", "db-0005"},
		"db-0002":  {"db-0001"}, // the present one
		"db-0001":  {"db-0001"},
		"app-0002": {"db-0001", "app-0002"},
		"app-0001": {"db-0001"}, // the present one
		"../x":     {"db-0001"},
	} {
		o.namespace.Annotations = map[string]string{meta.AnnotationDatabaseClaim: "db-0002", meta.AnnotationRestoreClaim: asked, meta.AnnotationRestoreAppClaim: asked}
		if got := spareClaims(o, "i1"); !slices.Equal(got, want) {
			t.Errorf("a restore asks for %q: %v, want %v", asked, got, want)
		}
	}
	if got := spareClaims(observed{}, "i1"); len(got) != 0 {
		t.Errorf("a new instance has %v", got)
	}
}

func TestErrorsAreSortedByWhoCanHelp(t *testing.T) {
	transient := apierrors.NewTimeoutError("slow", 1)
	s := &scope{tenant: &v1alpha1.Tenant{}, problems: []error{
		errors.Join(&apply.ConflictError{Kind: "Service", Namespace: "tenant-acme", Name: "db"}, fmt.Errorf("applying: %w", transient)),
	}}
	end := judge(s, errors.Join(&render.InvalidError{Message: "no"}, &apply.TerminatingError{Kind: "Secret"}))
	if end.stalled == nil || end.stalled.reason != v1alpha1.ReasonInvalidSpec {
		t.Errorf("what stopped the pass is told first, got %v", end.stalled)
	}
	if end.waiting == nil || end.waiting.retry == 0 {
		t.Errorf("an object that is going away is waited for, got %v", end.waiting)
	}
	if !apierrors.IsTimeout(end.failure) || strings.Contains(end.failure.Error(), "Service tenant-acme/db exists") {
		t.Errorf("only what may help is tried again, got %v", end.failure)
	}
}

func TestAWriteFromAnOldStateIsNoFailure(t *testing.T) {
	stale := apierrors.NewConflict(appsv1.Resource("statefulsets"), "db", errors.New("changed"))
	end := judge(&scope{tenant: &v1alpha1.Tenant{}}, fmt.Errorf("marking: %w", stale))
	if end.failure != nil || end.waiting == nil || end.waiting.retry != staleRetry {
		t.Errorf("it is looked at again soon, and no warning: got %+v", end)
	}
}

func TestANewNamespaceMayRefuseForAWhile(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	refusal := apierrors.NewForbidden(corev1.Resource("persistentvolumeclaims"), "db-0001", errors.New("status unknown for quota: freehold"))
	bound := func(age time.Duration) map[string]*rbacv1.RoleBinding {
		return map[string]*rbacv1.RoleBinding{meta.OperatorRoleBinding: {ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-age))}}}
	}
	since := func(age time.Duration) metav1.ObjectMeta {
		return metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-age))}
	}
	for name, row := range map[string]struct {
		bindings  map[string]*rbacv1.RoleBinding
		namespace *corev1.Namespace
		tenant    time.Duration
		waits     bool
	}{
		"everything was made in this pass":             {nil, nil, time.Second, true},
		"the RoleBinding was made in this pass":        {nil, &corev1.Namespace{ObjectMeta: since(time.Second)}, time.Hour, true},
		"it is seconds old":                            {bound(5 * time.Second), nil, time.Hour, true},
		"it is old: a refusal is an error":             {bound(time.Hour), nil, time.Hour, false},
		"it is still not there: a refusal is an error": {nil, &corev1.Namespace{ObjectMeta: since(time.Minute)}, time.Hour, false},
		"not even the namespace can be made":           {nil, nil, time.Minute, false},
	} {
		s := &scope{tenant: &v1alpha1.Tenant{ObjectMeta: since(row.tenant)}, now: now, observed: observed{roleBindings: row.bindings, namespace: row.namespace}}
		end := judge(s, fmt.Errorf("applying: %w", refusal))
		if waits := end.waiting != nil && end.waiting.retry > 0; waits != row.waits || (end.failure != nil) == row.waits {
			t.Errorf("%s: waits is %t with failure %v, want %t", name, waits, end.failure, row.waits)
		}
	}
}

func TestRandomTextIsOfItsAlphabetAndItsLength(t *testing.T) {
	next := byte(0)
	read := func(p []byte) (int, error) {
		for i := range p {
			p[i] = next
			next++
		}
		return len(p), nil
	}
	counts := map[rune]int{}
	text, err := randomText(read, idAlphabet, 27*9)
	if err != nil || len(text) != 27*9 {
		t.Fatalf("got %d characters, %v", len(text), err)
	}
	for _, r := range text {
		counts[r]++
	}
	for _, r := range idAlphabet {
		if counts[r] != 9 {
			t.Errorf("character %c came %d times out of all bytes, want 9: some are likelier than others", r, counts[r])
		}
	}
	if _, err := randomText(func([]byte) (int, error) { return 0, errors.New("no randomness") }, idAlphabet, 1); err == nil {
		t.Error("a failing source must not give an ID")
	}
}

func TestADeletionThatOnlyFollowsTheDefinitionIsRecognised(t *testing.T) {
	at := func(second int64) metav1.Time { return metav1.Unix(second, 0) }
	tenant := func(deleted int64) *v1alpha1.Tenant {
		if deleted == 0 {
			return &v1alpha1.Tenant{}
		}
		moment := at(deleted)
		return &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &moment}}
	}
	definition := func(created, deleted int64) *metav1.PartialObjectMetadata {
		crd := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(created)}}
		if deleted != 0 {
			moment := at(deleted)
			crd.DeletionTimestamp = &moment
		}
		return crd
	}
	for name, row := range map[string]struct {
		tenant *v1alpha1.Tenant
		crd    *metav1.PartialObjectMetadata
		found  bool
		want   bool
	}{
		"all is well":                                          {tenant(0), definition(10, 0), true, false},
		"the cache has no definition":                          {tenant(0), definition(0, 0), false, false},
		"the definition goes away":                             {tenant(0), definition(10, 20), true, true},
		"the definition goes away, the Tenant with it":         {tenant(20), definition(10, 20), true, true},
		"a person deletes the Tenant":                          {tenant(20), definition(10, 0), true, false},
		"the definition was forced out":                        {tenant(20), definition(0, 0), false, true},
		"the definition was forced out and made again":         {tenant(20), definition(30, 0), true, true},
		"the definition was made again, then a person deleted": {tenant(40), definition(30, 0), true, false},
	} {
		if got := wentWithDefinition(row.tenant, row.crd, row.found); got != row.want {
			t.Errorf("%s: got %v, want %v", name, got, row.want)
		}
	}
}
